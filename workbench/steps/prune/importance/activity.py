"""What consumers see of a unit: statistics of its values where they are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from workbench.errors import WorkbenchError
from workbench.graph import Group
from workbench.jobs.turn import TURN
from workbench.model.twin import twin
from workbench.steps.calibration import calibration_batches
from workbench.steps.context import Context
from workbench.steps.prune.importance.slots import features
from workbench.task.batch import call


def consumers(groups: Sequence[Group]) -> list[str]:
    """Return the names of all layers that read units of these groups."""
    return sorted({layer for group in groups for layer in group.consumers})


def watch_inputs(
    model: nn.Module, layers: Iterable[str], context: Context, visit: Callable[[str, Tensor], None]
) -> None:
    """Call `visit(layer, values)` with the inputs of layers on the calibration split, [n, inputs], all places in n.

    Raises:
        WorkbenchError: There is no calibration data, or an input is not finite.
        Cancelled: It was told to stop.
    """
    watched = twin(model)

    def hook(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def look(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            values = by_channel(module, (args or tuple(kwargs.values()))[0]).detach()
            if not bool(values.isfinite().all()):
                raise WorkbenchError(f"{name} gets NaN or infinite inputs on the calibration data")
            visit(name, values.movedim(1, -1).flatten(0, -2))

        return look

    for name in layers:
        watched.get_submodule(name).register_forward_pre_hook(hook(name), with_kwargs=True)
    for inputs, _ in calibration_batches(context.subject.task, context.progress, "looking at activations"):
        with TURN, torch.no_grad():
            call(watched, inputs)


def by_channel(module: nn.Module, values: Tensor) -> Tensor:
    """Return a layer's inputs with samples first and its channels or features second, [n, inputs, ...]."""
    return values if isinstance(module, _ConvNd) or values.ndim < 3 else values.movedim(-1, 1)


def unit_means(
    model: nn.Module, groups: Sequence[Group], context: Context, statistic: Callable[[Tensor], Tensor]
) -> dict[str, Tensor]:
    """Return the mean of an elementwise statistic over all values of each unit, float64 [units] by the group's name.

    A unit that several layers read has the mean over all of them.
    """
    sums: dict[str, Tensor] = {}
    counts: dict[str, int] = {}

    def add(name: str, values: Tensor) -> None:
        sums[name] = sums.get(name, torch.tensor(0.0)) + statistic(values).sum(0, dtype=torch.float64)
        counts[name] = counts.get(name, 0) + len(values)

    watch_inputs(model, consumers(groups), context, add)
    return {group.name: _mean(model, group, sums, counts) for group in groups}


def _mean(model: nn.Module, group: Group, sums: dict[str, Tensor], counts: dict[str, int]) -> Tensor:
    where = next((sums[layer].device for layer in group.consumers if layer in sums), None)
    value = torch.zeros(len(group.units), dtype=torch.float64, device=where)
    weight = torch.zeros_like(value)
    for layer in group.consumers:
        if layer in sums:
            owner = features(model, group, layer)
            mine = owner >= 0
            value.index_add_(0, owner[mine], sums[layer][mine])
            weight.index_add_(0, owner[mine], torch.full_like(sums[layer][mine], counts[layer]))
    if not bool(weight.all()):
        raise WorkbenchError(f"{group.name}: no layer that reads its channels is called on the calibration data")
    return value / weight
