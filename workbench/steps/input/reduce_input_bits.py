"""Fewer bits a pixel: inputs on a grid of few levels, which take less to store and to send.

Hubara et al.: "Quantized Neural Networks: Training Neural Networks with Low Precision Weights and Activations", 2018,
keep inputs at few bits by the same grid. The model stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.registry import register
from workbench.steps.context import Context
from workbench.steps.input.images import image_of, lacks_span, span_of
from workbench.steps.option import option
from workbench.steps.state import State
from workbench.steps.step import Axes, GraphStep, Stage
from workbench.task.feeding import Feed, by_channel, check_numbers, check_whole
from workbench.task.task import Task


def on_grid(images: Tensor, bits: int, low: tuple[float, ...], high: tuple[float, ...]) -> Tensor:
    """Return images [n, C, H, W] with each value at the nearest of 2^bits levels from low to high, in the same type.

    Args:
        images: Floating point; what lies beyond the ends is brought to them.
        bits: 1 or more.
        low: Of the C channels.
        high: Likewise.
    """
    first, last, steps = by_channel(low, images), by_channel(high, images), 2**bits - 1
    levels = ((images.float() - first) / (last - first) * steps).round().clamp(0, steps)
    values: Tensor = levels / steps * (last - first) + first
    return values.to(images.dtype)


@register
@dataclass(frozen=True)
class OnGrid(Feed):
    """Images on a grid of few levels."""

    kind: ClassVar[str] = "on_grid"

    levels_bits: int
    low: tuple[float, ...]
    high: tuple[float, ...]

    def __post_init__(self) -> None:
        check_whole("bits", self.levels_bits, 1, 8)
        check_numbers("low", self.low)
        check_numbers("high", self.high)
        if len(self.low) != len(self.high) or not all(a < b for a, b in zip(self.low, self.high, strict=True)):
            raise WorkbenchError("what is done to inputs: low must be below high in every channel")

    def __call__(self, value: Tensor) -> Tensor:
        return on_grid(value, self.levels_bits, self.low, self.high)

    def bits(self, before: int, whole: int) -> int:
        return min(before, self.levels_bits)

    def words(self) -> str:
        return f"rounded to {2**self.levels_bits} levels from {_words(self.low)} to {_words(self.high)}"


def _words(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)


@register
@dataclass(frozen=True, kw_only=True)
class ReduceInputBits(GraphStep):
    """Feeds the model images of fewer bits a pixel."""

    kind: ClassVar[str] = "reduce_input_bits"
    title: ClassVar[str] = "Reduce input bits"
    summary: ClassVar[str] = (
        "Rounds the images that the model is fed to few levels a pixel, so that they take fewer bytes to store and to "
        "send. The model stays as it is; train afterwards where few levels are left."
    )
    shelf: ClassVar[str] = "Input"
    position: ClassVar[int] = 3
    stage: ClassVar[Stage] = Stage.REPLACE
    axes: ClassVar[Axes] = {"bits": (5, 4, 3)}

    bits: int = option(5, "Bits of a value, between the darkest and the brightest pixel.", unit="bits", low=1, high=8)

    def lacks(self, task: Task) -> str:
        return super().lacks(task) or lacks_span(task)

    def build(self, state: State, context: Context) -> State:
        self.chosen(context.layers(state.model))  # a name that matches nothing is an error before any work
        if not image_of(state, context, self.title).is_floating_point():
            raise WorkbenchError(f"{self.title}: the images are bytes already; put {self.kind} before byte_input")
        low, high = span_of(state, context)
        coarse = state.with_feed(OnGrid(self.bits, low, high))
        return coarse.with_notes(f"inputs are rounded to {2**self.bits} levels a value")
