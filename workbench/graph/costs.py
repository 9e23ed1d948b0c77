"""What a model costs once units are gone, without building it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from workbench.graph.group import Group
from workbench.graph.tracing import slow_attention
from workbench.graph.walk import canonical_names
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
    from torch.nn.attention import SDPBackend, sdpa_kernel

    counter = _Counter(model)
    with torch.no_grad(), slow_attention(), sdpa_kernel(SDPBackend.MATH), counter:
        call(twin(model), example)
    share = 2 * batch_size(example)
    by_layer = {name: flops / share for name, flops in counter.flops.items() if name}
    return by_layer, counter.flops.get("", 0) / share


def _taken(group: Group, order: Sequence[int], known: Mapping[str, Tensor]) -> dict[tuple[str, int], Any]:
    """Return how many indices the first 0, 1, 2, ... units occupy in each dimension, [units + 1]."""
    shares: dict[tuple[str, int], Any] = {}
    for place, number in enumerate(order, 1):
        for slot in group.units[number]:
            if slot.parameter in known:
                counts = shares.setdefault((slot.parameter, slot.dim), np.zeros(len(order) + 1))
                counts[place] += len(slot.indices)
    return {key: counts.cumsum() for key, counts in shares.items()}


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves it unannotated
    """Counts torch's own floating-point operations by the parameter in whose memory an argument lies, "" for none."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # as above
        first = canonical_names(model)
        self._names = {
            value.untyped_storage().data_ptr(): first[name] for name, value in model.named_parameters() if value.numel()
        }
        self.flops: dict[str, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        from torch.utils.flop_counter import flop_registry

        out = func(*args, **(kwargs or {}))
        count = flop_registry.get(func._overloadpacket)
        if count is not None:
            # The bias comes first where an operator takes one; what is multiplied has two or more dimensions.
            named = [
                self._names.get(value.untyped_storage().data_ptr(), "")
                for value in args
                if isinstance(value, Tensor) and value.dim() > 1
            ]
            name = next(filter(None, named), "")
            self.flops[name] = self.flops.get(name, 0) + count(*args, **(kwargs or {}), out_val=out)
        return out
