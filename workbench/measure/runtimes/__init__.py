"""Where models run. A runtime is `prepare(state, example) -> callable` and a line in the table."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from workbench.measure.runtimes import eager, onnx
from workbench.steps import State

Forward = Callable[[tuple[Tensor, ...]], Tensor]
RUNTIMES: dict[str, Callable[[State, tuple[Tensor, ...]], Forward]] = {
    "eager": eager.prepare,
    "onnxruntime": onnx.prepare,
}
TITLES = {"eager": "PyTorch (eager)", "onnxruntime": "ONNX Runtime"}

__all__ = ["RUNTIMES", "TITLES", "Forward"]
