"""Peak memory of a forward pass, by following every tensor that PyTorch makes."""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from workbench.jobs.turn import TURN
from workbench.model.twin import twin
from workbench.task.batch import call, entering
from workbench.task.device import device_of


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves its hooks unannotated
    """Adds up the bytes of living storages."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # as above
        self.now: int = 0
        self.peak: int = 0
        self.known: set[int] = set()

    def hold(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = storage.data_ptr(), storage.nbytes()
        if not size or key in self.known:
            return
        self.known.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self.release, key, size)

    def release(self, key: int, size: int) -> None:
        self.known.discard(key)
        self.now -= size

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for value in tree_flatten(out)[0]:
            if isinstance(value, Tensor):
                self.hold(value)
        return out


def measure_peak(model: nn.Module, inputs: tuple[Tensor, ...]) -> int:
    """Return the largest number of bytes that weights, inputs and activations take at one time, in eager mode.

    On a CUDA device it is what its allocator gave out meanwhile; elsewhere scratch space inside of kernels is not seen.
    """
    model, device = twin(model), device_of(model)
    inputs = entering(model, inputs)
    if device.type == "cuda":
        return _allocated(model, inputs, device)
    with torch.no_grad(), _Watch() as watch:
        for value in (*model.state_dict(keep_vars=True).values(), *inputs):
            watch.hold(value)
        call(model, inputs)
    peak: int = watch.peak
    return peak


def _allocated(model: nn.Module, inputs: tuple[Tensor, ...], device: torch.device) -> int:
    """Return the bytes of weights and inputs, and of what the allocator gave out besides for a forward pass."""
    own: dict[int, int] = {
        value.data_ptr(): value.nbytes for value in (*model.state_dict(keep_vars=True).values(), *inputs)
    }
    with TURN, torch.no_grad():
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        call(model, inputs)
        torch.cuda.synchronize(device)
        peak: int = torch.cuda.max_memory_allocated(device) - before
        return peak + sum(own.values())
