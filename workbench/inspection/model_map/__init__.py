"""The map of a model: its graph of layers, folded into blocks, with a place for everything."""

from workbench.inspection.model_map.blocks import Box, View, default_unfolded, fold
from workbench.inspection.model_map.layout import Drawing, Placed, lay_out
from workbench.inspection.model_map.quantities import QUANTITIES, layer_values
from workbench.inspection.model_map.times import layer_times

__all__ = [
    "QUANTITIES",
    "Box",
    "Drawing",
    "Placed",
    "View",
    "default_unfolded",
    "fold",
    "lay_out",
    "layer_times",
    "layer_values",
]
