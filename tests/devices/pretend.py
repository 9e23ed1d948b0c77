"""A device that is not there: tensors on the CPU that say they are elsewhere, and refuse to meet those that do not.

Values are real, so whole steps, scores and exports run, whatever they decide by values. What torch refuses between two
devices is refused here: operators on tensors of both (but for a number without dimensions, and for indices), a
generator of the wrong one, `numpy()` of a tensor that is elsewhere. "lazy" is a device that torch knows and never
initialises, whose gradients its engine computes on the calling thread.

Not seen: kernels that a real device lacks or rounds otherwise, and constants that a traced model makes by itself.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves, tree_map, tree_map_only

DEVICE = torch.device("lazy", 0)
CPU = torch.device("cpu")
# Operators that take tensors of two devices: copies, and indices, which may be on the CPU.
BETWEEN = (
    "aten::copy_",
    "aten::_to_copy",
    "aten::index.",
    "aten::index_put",
    "aten::_index_put",
    "aten::_unsafe_index",
)


class Elsewhere(Tensor):
    """A tensor on the device; `inner` holds its values."""

    inner: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, inner: Tensor) -> Elsewhere:
        made = Tensor._make_wrapper_subclass(
            cls, inner.shape, strides=inner.stride(), storage_offset=inner.storage_offset(), dtype=inner.dtype,
            layout=inner.layout, device=DEVICE, dispatch_device=True,
        )  # fmt: skip
        made.inner = inner
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return dispatched(func, args, kwargs or {})

    def data_ptr(self) -> int:
        return self.inner.data_ptr()

    def untyped_storage(self) -> Any:
        return self.inner.untyped_storage()

    def numpy(self, *, force: bool = False) -> Any:
        raise TypeError(f"can't convert {DEVICE} device type tensor to numpy; use Tensor.cpu() first")

    def __array__(self, dtype: Any = None) -> Any:
        return self.numpy()

    def tolist(self) -> Any:
        return self.detach().cpu().tolist()

    def __repr__(self, **_: Any) -> str:
        return f"{self.inner!r} on {DEVICE}"


def dispatched(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Return what an operator gives, on the device that its tensors or its arguments name."""
    if func is torch.ops.prim.device.default:
        return DEVICE
    tensors = [value for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor)]
    there = [value for value in tensors if isinstance(value, Elsewhere)]
    name = f"{func._schema.name}.{func._schema.overload_name}"
    if there and not name.startswith(BETWEEN):
        _check_together(name, [value for value in tensors if not isinstance(value, Elsewhere)])
    if name.startswith("aten::index") and not isinstance(args[0], Elsewhere) and there:
        raise RuntimeError(f"{name}: indices and values must be on the CPU, where the indexed tensor is")
    named = [value for value in tree_leaves((args, kwargs)) if isinstance(value, torch.device)]
    target = named[0] if named else DEVICE if there else CPU
    if name.startswith("aten::copy_"):
        target = args[0].device
    _check_generator(name, kwargs.get("generator"), target)
    out = func(*_inner(args), **_inner(kwargs))
    return tree_map(lambda value: _outer(value, target, tensors), out)


def _check_together(name: str, others: list[Tensor]) -> None:
    meeting = [value for value in others if value.dim()]
    if meeting:
        shapes = ", ".join(str(tuple(value.shape)) for value in meeting)
        raise RuntimeError(f"Expected all tensors to be on the same device, but {name} got {shapes} on the CPU")


def _check_generator(name: str, generator: Any, target: torch.device) -> None:
    if generator is not None and (generator._cdata in PLACED) != (target == DEVICE):
        raise RuntimeError(f"Expected a generator on {target} for {name}")


def _inner(tree: Any) -> Any:
    def inner(value: Any) -> Any:
        if isinstance(value, Elsewhere):
            return value.inner
        return CPU if isinstance(value, torch.device) else value

    return tree_map(inner, tree)


def _outer(value: Any, target: torch.device, entering: list[Tensor]) -> Any:
    """Return a result as a tensor on the device; one that is an argument, as in place, as that argument."""
    if not isinstance(value, Tensor):
        return value
    for one in entering:
        if (one.inner if isinstance(one, Elsewhere) else one) is value:
            if isinstance(one, Elsewhere) == (target.type != "cpu"):
                return one
            value = value.clone()  # moved, which is a copy
    return Elsewhere(value) if target.type != "cpu" else value


class _Mode(TorchDispatchMode):
    """Sees what makes tensors of nothing, which no tensor that is elsewhere takes part in."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return dispatched(func, args, kwargs or {})


PLACED: dict[int, torch.Generator] = {}  # generators that say they are on the device, by what they wrap


_PLAIN = torch.Generator


class _Generator(_PLAIN):
    def __new__(cls, device: Any = "cpu") -> Any:
        made = _PLAIN.__new__(cls)
        if torch.device(device).type != "cpu":
            PLACED[made._cdata] = made
        return made


class _Event:
    def __init__(self, device: torch.device, enable_timing: bool) -> None:
        assert device == DEVICE
        self.at = 0.0

    def record(self) -> None:
        self.at = time.perf_counter()

    def synchronize(self) -> None:
        pass

    def elapsed_time(self, other: _Event) -> float:
        return 1000 * (other.at - self.at)


_export, _onnx, _inference = torch.export.export, torch.onnx.export, torch.inference_mode


def _without_gradients(mode: bool = True) -> Any:
    return torch.no_grad() if mode else _inference(mode)


def _traced(model: Any, args: Any, *more: Any, **options: Any) -> Any:
    """Trace on the CPU, and put what a trace on the device would hold into the graph."""
    before = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    there = any(isinstance(value, Elsewhere) for value in before.values())
    for module in model.modules() if there else ():
        for store in (module._parameters, module._buffers):
            for name, value in store.items():
                if isinstance(value, Elsewhere):
                    plain = value.detach().inner
                    store[name] = (
                        torch.nn.Parameter(plain, value.requires_grad) if store is module._parameters else plain
                    )
    with _disable_current_modes():
        program = _export(model, _inner(args), *more, **options)
    if not there:
        return program
    for name in program._state_dict:
        program._state_dict[name] = before[name]
    for name, value in program._constants.items():
        if isinstance(value, Tensor):
            program._constants[name] = before.get(name, Elsewhere(value.detach()))
    for node in program.graph.nodes:
        node.kwargs = tree_map_only(torch.device, lambda _: DEVICE, dict(node.kwargs))
        node.args = tree_map_only(torch.device, lambda _: DEVICE, tuple(node.args))
    return program


def _converted(*args: Any, **options: Any) -> Any:
    with _disable_current_modes():
        return _onnx(*args, **options)


@contextlib.contextmanager
def _lifting() -> Iterator[None]:
    """Let `torch.tensor(..., device=...)` make its tensor on the CPU and move it where the mode sees it."""
    before = torch._C._only_lift_cpu_tensors()
    torch._C._set_only_lift_cpu_tensors(True)
    try:
        yield
    finally:
        torch._C._set_only_lift_cpu_tensors(before)


@contextlib.contextmanager
def pretended() -> Iterator[torch.device]:
    """Let there be the device, as `Settings(device="lazy")`, and give it."""
    from workbench.task import device

    with (
        _lifting(),
        patch.dict(device._COUNTS, {"lazy": lambda: 1}),
        patch.object(torch, "Generator", _Generator),
        patch.object(torch, "Event", _Event),
        # Views of wrapped tensors cannot be made there; what it forbids beside gradients is tried on the CPU.
        patch.object(torch, "inference_mode", _without_gradients),
        patch.object(torch, "autocast", lambda kind, *_, **__: contextlib.nullcontext()),
        patch.object(torch.export, "export", _traced),
        patch.object(torch.onnx, "export", _converted),
        _Mode(),
    ):
        yield DEVICE
