"""Mean activation: a channel that is near zero most of the time matters little.

Polyak, Wolf: "Channel-level acceleration of deep face representations", 2015; Molchanov et al.: "Pruning Convolutional
Neural Networks for Resource Efficient Inference", 2017. A unit scores the mean of its absolute values where they are
read.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from workbench.graph import Group
from workbench.registry import register
from workbench.steps.context import Context
from workbench.steps.prune.importance.activity import unit_means
from workbench.steps.prune.importance.criterion import Criterion
from workbench.steps.prune.importance.layer_inputs import NOBODY


@register
class MeanActivation(Criterion):
    kind = "activation"
    position = 9
    title = "Mean activation"
    needs_data = True

    def unfit(self, model: nn.Module, group: Group) -> str:
        return "" if group.consumers else NOBODY

    def units(self, model: nn.Module, groups: Sequence[Group], context: Context) -> dict[str, Tensor]:
        return unit_means(model, groups, context, torch.abs)
