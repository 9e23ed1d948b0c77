"""First-order Taylor expansion: how much the loss would change, to first order, without a weight or a channel.

Molchanov et al.: "Pruning Convolutional Neural Networks for Resource Efficient Inference", 2017. A weight w with the
gradient g changes the loss by -g w. A channel is read by weights of the layers behind it, and the sum of g w over them
is gradient times activation, which is the paper's criterion, summed over all who read the channel. Absolute values are
averaged over batches.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from workbench.graph import Group
from workbench.registry import register
from workbench.steps.context import Context
from workbench.steps.prune.importance.criterion import WeightCriterion
from workbench.steps.prune.importance.gates import gate_gradients
from workbench.steps.prune.importance.gradients import loss_gradients
from workbench.steps.prune.importance.layer_inputs import NOBODY
from workbench.steps.prune.importance.slots import reading

BATCH = 16


@register
class Taylor(WeightCriterion):
    kind = "taylor"
    position = 4
    needs_loss = True
    title = "Taylor, first order"
    needs_data = True
    comparable = True

    def unfit(self, model: nn.Module, group: Group) -> str:
        return "" if reading(model, group) else NOBODY

    def weights(self, model: nn.Module, parameters: Sequence[str], context: Context) -> dict[str, Tensor]:
        values = {name: model.get_parameter(name).detach() for name in parameters}
        sums = {name: torch.zeros_like(value) for name, value in values.items()}
        count = 0
        for gradients in loss_gradients(model, parameters, context, BATCH):
            count += 1
            for name, gradient in gradients.items():
                sums[name] += (gradient * values[name]).abs()
        return {name: value / count for name, value in sums.items()}

    def units(self, model: nn.Module, groups: Sequence[Group], context: Context) -> dict[str, Tensor]:
        gradients = list(gate_gradients(model, groups, context, BATCH))
        return {group.name: torch.stack([one[group.name].abs() for one in gradients]).mean(0) for group in groups}
