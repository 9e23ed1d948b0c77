"""What a model costs once units are gone, without building it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor, nn

from workbench.graph.group import Group
from workbench.model.products import Products, written_out
from workbench.model.twin import twin
from workbench.task.batch import batch_size, call


class Costs:
    """A cost that is so much for every element of a parameter, and so much for everything else.

    What is left follows from the dimensions that units occupy, so this is exact for parameters, and for the
    multiply-accumulates of every layer that multiplies with its weight.

    Args:
        model: What is cut.
        groups: What may go.
        orders: For every group the numbers of its units in the order in which they go.
        prices: Cost of one element, by the parameter's first name; others cost nothing.
        extra: Cost of one unit of a group besides, by the group's name.
        rest: Cost of what stays as it is.
    """

    def __init__(
        self,
        model: nn.Module,
        groups: Sequence[Group],
        orders: Mapping[str, Sequence[int]],
        prices: Mapping[str, float],
        extra: Mapping[str, float] | None = None,
        rest: float = 0.0,
    ) -> None:
        self._prices, self._extra, self._rest = prices, extra or {}, rest
        tensors = {name: value for name, value in model.named_parameters() if name in prices}
        self._sizes = {name: np.array(value.shape, dtype=np.float64) for name, value in tensors.items()}
        self._taken = {group.name: _taken(group, orders[group.name], tensors) for group in groups}
        self._units = {group.name: len(group.units) for group in groups}

    def after(self, gone: Mapping[str, int]) -> float:
        """Return the cost without the first so many units of each group, in the order in which they go."""
        sizes = {name: size.copy() for name, size in self._sizes.items()}
        cost = self._rest
        for name, taken in self._taken.items():
            cost += self._extra.get(name, 0.0) * (self._units[name] - gone.get(name, 0))
            for (parameter, dim), counts in taken.items():
                sizes[parameter][dim] -= counts[gone.get(name, 0)]
        return cost + sum(self._prices[name] * float(size.prod()) for name, size in sizes.items())


def macs_of_parameters(model: nn.Module, example: tuple[Tensor, ...]) -> tuple[dict[str, float], float]:
    """Return the multiply-accumulates for one sample by the parameter that is multiplied with, and those of none.

    The model's twin runs once. Tied parameters count under their first name.
    """
    counter = Products(dict(model.named_parameters()))
    with written_out(), counter:
        call(twin(model), example)
    samples = batch_size(example)
    by_layer = {name: macs / samples for (name, _), macs in counter.macs.items() if name}
    return by_layer, counter.macs.get(("", ""), 0) / samples


def _taken(group: Group, order: Sequence[int], known: Mapping[str, Tensor]) -> dict[tuple[str, int], Any]:
    """Return how many indices the first 0, 1, 2, ... units occupy in each dimension, [units + 1]."""
    shares: dict[tuple[str, int], Any] = {}
    for place, number in enumerate(order, 1):
        for slot in group.units[number]:
            if slot.parameter in known:
                counts = shares.setdefault((slot.parameter, slot.dim), np.zeros(len(order) + 1))
                counts[place] += len(slot.indices)
    return {key: counts.cumsum() for key, counts in shares.items()}
