"""What weights and activations look like, as numbers."""

from workbench.inspection.activations import Activations, observe_activations
from workbench.inspection.grid import grid_values
from workbench.inspection.similarity import Pair, cosine_similarity, most_similar
from workbench.inspection.spectrum import Spectrum, singular_spectrum
from workbench.inspection.weights import Histogram, Spread, channel_spread, histogram

__all__ = [
    "Activations",
    "Histogram",
    "Pair",
    "Spectrum",
    "Spread",
    "channel_spread",
    "cosine_similarity",
    "grid_values",
    "histogram",
    "most_similar",
    "observe_activations",
    "singular_spectrum",
]
