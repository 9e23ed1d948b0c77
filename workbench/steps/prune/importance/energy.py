"""Energy: a weight matters as its square; a channel by the L2 norm of the weights that make it.

He et al.: "Soft Filter Pruning for Accelerating Deep Convolutional Neural Networks", 2018. Single weights are ranked as
by their absolute value; channels with few large weights come out higher than by L1.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from workbench.graph import Group
from workbench.registry import register
from workbench.steps.context import Context
from workbench.steps.prune.importance.criterion import WeightCriterion


@register
class Energy(WeightCriterion):
    kind = "l2"
    position = 2
    title = "Magnitude (L2)"

    def weights(self, model: nn.Module, parameters: Sequence[str], context: Context) -> dict[str, Tensor]:
        return {name: model.get_parameter(name).detach().square() for name in parameters}

    def units(self, model: nn.Module, groups: Sequence[Group], context: Context) -> dict[str, Tensor]:
        return {name: score.sqrt() for name, score in super().units(model, groups, context).items()}
