"""Magnitude: a weight matters as much as its absolute value.

Han, Pool, Tran, Dally: "Learning both Weights and Connections for Efficient Neural Networks", 2015
(weights); Li et al.: "Pruning Filters for Efficient ConvNets", 2017 (channels, by their L1 norm).
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from workbench.registry import register
from workbench.steps.context import Context
from workbench.steps.prune.importance.criterion import WeightCriterion


@register
class Magnitude(WeightCriterion):
    kind = "magnitude"
    position = 1
    title = "Magnitude (L1)"

    def weights(self, model: nn.Module, parameters: Sequence[str], context: Context) -> dict[str, Tensor]:
        return {name: model.get_parameter(name).detach().abs() for name in parameters}
