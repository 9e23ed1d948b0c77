"""Gates on channels: factors of one, whose derivatives tell what closing them would do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor, nn

from workbench.graph import Group
from workbench.steps.context import Context
from workbench.steps.prune.importance.gradients import loss_gradients
from workbench.steps.prune.importance.slots import reading, total


def gate_gradients(
    model: nn.Module, groups: Sequence[Group], context: Context, batch: int
) -> Iterator[dict[str, Tensor]]:
    """Yield, batch by batch, the derivative of the mean loss by a factor on every unit, float64 [units] by group.

    A factor on a channel is a factor on the weights that read it, so its derivative is the sum of gradient times
    weight over them; no activation has to be kept for it. Arguments and errors as in `loss_gradients`.
    """
    places = {group.name: reading(model, group) for group in groups}
    names = sorted({place.parameter for of_group in places.values() for place in of_group})
    for gradients in loss_gradients(model, names, context, batch):
        products = {name: value.double() * model.get_parameter(name).detach() for name, value in gradients.items()}
        yield {group.name: total(products, places[group.name], len(group.units)) for group in groups}
