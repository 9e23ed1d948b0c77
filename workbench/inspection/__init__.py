"""What weights and activations look like, as numbers."""

from workbench.inspection.activations import Activations, observe_activations
from workbench.inspection.attribution import attribute_input, likeness
from workbench.inspection.channels import Channels, channels_of
from workbench.inspection.grid import grid_values
from workbench.inspection.pictures import heat, picture, words
from workbench.inspection.similarity import Pair, cosine_similarity, most_similar
from workbench.inspection.spectrum import Spectrum, singular_spectrum
from workbench.inspection.weights import Histogram, Spread, channel_spread, histogram

__all__ = [
    "Activations",
    "Channels",
    "Histogram",
    "Pair",
    "Spectrum",
    "Spread",
    "attribute_input",
    "channel_spread",
    "channels_of",
    "cosine_similarity",
    "grid_values",
    "heat",
    "histogram",
    "likeness",
    "most_similar",
    "observe_activations",
    "picture",
    "singular_spectrum",
    "words",
]
