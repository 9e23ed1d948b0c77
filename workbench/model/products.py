"""Multiply-accumulates of a forward pass, by the parameter that is multiplied with.

Hooks see the modules that are called. What a model multiplies by hand, as in `F.linear(x, layer.weight)`, only shows in
the operators themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from threading import Lock
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

aten = torch.ops.aten
# Operators that take matrices out of a stack of them, such as those of the experts that a token goes to.
TAKING = ("index", "index_select", "gather")


class Products(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves it unannotated
    """Counts multiply-accumulates by the parameter in whose memory a factor lies, while it is entered.

    Copies of a parameter, and what is computed from it alone, count as the parameter.

    Attributes:
        macs: By (parameter, `inside`); the parameter is "" for products of none.
        inside: Names of what is being called, where calls are told apart (`told_apart`); the last one counts.
    """

    def __init__(self, parameters: Mapping[str, Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # as above
        self.macs: dict[tuple[str, str], int] = {}
        self.inside: list[str] = [""]
        self._spans: dict[int, list[tuple[int, int, str]]] = {}
        self._copies: list[Tensor] = []  # alive, so that no other tensor gets their memory
        for name, value in parameters.items():
            if value.numel():
                self._remember(value, name)

    def _remember(self, value: Tensor, name: str) -> None:
        start = value.data_ptr()
        stop = start + value.numel() * value.element_size()
        self._spans.setdefault(value.untyped_storage().data_ptr(), []).append((start, stop, name))

    def name(self, value: Tensor) -> str:
        """Return the parameter in whose memory a tensor lies, "" for none."""
        spans = self._spans.get(value.untyped_storage().data_ptr(), [])
        if len(spans) < 2:
            return spans[0][2] if spans else ""
        return next((name for start, stop, name in spans if start <= value.data_ptr() < stop), "")

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        from torch.utils.flop_counter import flop_registry

        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        packet = func._overloadpacket
        if packet is aten.mkldnn_rnn_layer:
            # A whole layer of an LSTM in one: at each step both weights are multiplied with all samples.
            rows = args[0].shape[0] * args[0].shape[1]
            for weight in args[1:3]:
                self._add(self.name(weight), rows * weight.numel())
        elif packet is aten._trilinear:
            weight = args[1]
            self._add(self.name(weight), len(args[0]) * weight.numel())
        elif packet is getattr(aten, "_grouped_mm", None):
            self._add(self.name(args[1]) or self.name(args[0]), out.numel() * args[0].shape[-1])
        elif (count := flop_registry.get(packet)) is not None:
            # The bias comes first where an operator takes one; what is multiplied has two or more dimensions.
            factors = [value for value in args if isinstance(value, Tensor) and value.dim() > 1]
            name = next(filter(None, map(self.name, reversed(factors))), "")
            self._add(name, count(*args, **kwargs, out_val=out) // 2)
        else:
            self._follow(packet, (args, kwargs), out)
        return out

    def _add(self, name: str, macs: int) -> None:
        key = name, self.inside[-1] if name else ""
        self.macs[key] = self.macs.get(key, 0) + macs

    def _follow(self, packet: Any, arguments: Any, out: Any) -> None:
        """Note that a result is made of one parameter and of nothing else."""
        read = [value for value in tree_leaves(arguments) if isinstance(value, Tensor)]
        if not read or not (name := self.name(read[0])):
            return
        taken = packet.__name__ in TAKING and read[0].dim() > 2
        alone = taken or all(self.name(value) == name for value in read)
        for value in tree_leaves(out) if alone else ():
            if isinstance(value, Tensor) and value.is_floating_point() and value.numel() and not self.name(value):
                self._remember(value, name)
                self._copies.append(value)


@contextmanager
def slow_attention() -> Iterator[None]:
    """The fast path of `torch.nn` attention is one opaque operator, in which nothing can be followed or counted."""
    with _Slow.lock:
        if not _Slow.inside:
            _Slow.before = torch.backends.mha.get_fastpath_enabled()
            torch.backends.mha.set_fastpath_enabled(False)
        _Slow.inside += 1
    try:
        yield
    finally:
        with _Slow.lock:
            _Slow.inside -= 1
            if not _Slow.inside:
                torch.backends.mha.set_fastpath_enabled(_Slow.before)


class _Slow:
    """How many are inside of `slow_attention`, since the switch is one for all threads."""

    lock = Lock()
    inside = 0
    before = True


@contextmanager
def written_out() -> Iterator[None]:
    """Run without gradients, fused kernels or the fast path of attention: the counter does not know those of a CPU."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    with torch.no_grad(), slow_attention(), sdpa_kernel(SDPBackend.MATH):
        yield


def told_apart(counter: Products, modules: Iterable[tuple[str, nn.Module]]) -> None:
    """Let calls of some modules count by their names, by hooks that stay on them."""
    for name, module in modules:

        def enter(_: nn.Module, __: Any, name: str = name) -> None:
            counter.inside.append(name)

        def leave(_: nn.Module, __: Any, ___: Any) -> None:
            counter.inside.pop()

        module.register_forward_pre_hook(enter)
        module.register_forward_hook(leave)
