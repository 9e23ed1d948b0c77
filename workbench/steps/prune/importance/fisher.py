"""Diagonal Fisher information: how much the loss would rise, to second order, without a weight or a channel.

LeCun, Denker, Solla: "Optimal Brain Damage", 1990, with the Hessian's diagonal replaced by that of the empirical Fisher
information, the mean of squared gradients of single samples: Theis et al.: "Faster gaze prediction with dense networks
and Fisher pruning", 2018, which gives channels a gate. A weight w with gradients g scores mean(g^2) w^2 / 2, in the
unit of the loss.
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


@register
class Fisher(WeightCriterion):
    kind = "fisher"
    position = 5
    needs_loss = True
    title = "Diagonal Fisher (OBD)"
    needs_data = True
    comparable = True

    def unfit(self, model: nn.Module, group: Group) -> str:
        return "" if reading(model, group) else NOBODY

    def weights(self, model: nn.Module, parameters: Sequence[str], context: Context) -> dict[str, Tensor]:
        squares = {name: model.get_parameter(name).detach().square() for name in parameters}
        sums = {name: torch.zeros_like(square) for name, square in squares.items()}
        count = 0
        for gradients in loss_gradients(model, parameters, context, batch=1):
            count += 1
            for name, gradient in gradients.items():
                sums[name] += gradient.square()
        return {name: value * squares[name] / (2 * count) for name, value in sums.items()}

    def units(self, model: nn.Module, groups: Sequence[Group], context: Context) -> dict[str, Tensor]:
        gradients = list(gate_gradients(model, groups, context, batch=1))
        return {
            group.name: torch.stack([one[group.name].square() for one in gradients]).mean(0) / 2 for group in groups
        }
