"""Wanda: a weight matters as its absolute value times the norm of what it is multiplied with.

Sun, Liu, Bair, Kolter: "A Simple and Effective Pruning Approach for Large Language Models", 2024. The paper ranks the
weights of each output by themselves (`Prune`'s ranking "output"). Channels are judged by the weights that read them.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from workbench.graph import Group
from workbench.registry import register
from workbench.steps.calibration import input_norms
from workbench.steps.context import Context
from workbench.steps.prune.importance.criterion import WeightCriterion
from workbench.steps.prune.importance.layer_inputs import layers_of, refuse, unreadable, unreadable_weight
from workbench.steps.prune.importance.slots import Owners, reading


def wanda(weight: Tensor, norms: Tensor) -> Tensor:
    """Return |w| times the norm of its input, in the weight's shape.

    Args:
        weight: [out, ...].
        norms: [groups, d], d = weight[0].numel().
    """
    each = norms.repeat_interleave(len(weight) // len(norms), 0).view_as(weight)
    return weight.detach().abs() * each


@register
class Wanda(WeightCriterion):
    kind = "wanda"
    position = 7
    title = "Wanda (weight × input norm)"
    needs_data = True

    def unfit(self, model: nn.Module, group: Group) -> str:
        return unreadable(model, group)

    def unfit_weight(self, model: nn.Module, parameter: str) -> str:
        return unreadable_weight(model, parameter)

    def judged(self, model: nn.Module, group: Group) -> Owners:
        return reading(model, group)

    def weights(self, model: nn.Module, parameters: Sequence[str], context: Context) -> dict[str, Tensor]:
        layers = layers_of(model, parameters, self.title)
        norms = input_norms(model, context.subject.task, list(layers.values()), context.progress)
        refuse([name for name, layer in layers.items() if layer not in norms], self.title, "its layer is not called")
        return {name: wanda(model.get_parameter(name), norms[layer]) for name, layer in layers.items()}
