"""What weights and activations look like, as numbers."""

from workbench.inspection.activations import Activations, activations
from workbench.inspection.similarity import Pair, most_similar, similarity
from workbench.inspection.spectrum import Spectrum, spectrum
from workbench.inspection.weights import Histogram, Spread, channel_spread, histogram

__all__ = [
    "Activations",
    "Histogram",
    "Pair",
    "Spectrum",
    "Spread",
    "activations",
    "channel_spread",
    "histogram",
    "most_similar",
    "similarity",
    "spectrum",
]
