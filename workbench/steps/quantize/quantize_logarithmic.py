"""Logarithmic quantization: weights become powers of two, or sums of few of them.

Miyashita et al.: "Convolutional Neural Networks using Logarithmic Data Representation", 2016; Zhou et al.:
"Incremental Network Quantization", 2017; Li, Dong, Wang: "Additive Powers-of-Two Quantization", 2020.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from workbench.checkpoint.coding import AdditivePowers, Coding, Levels, PowersOfTwo, fitted
from workbench.model.layers import Layer
from workbench.registry import register
from workbench.steps.change import Change
from workbench.steps.context import Context
from workbench.steps.option import option
from workbench.steps.quantize.encode import ROUNDING_HELP, CodingStep, encoded
from workbench.steps.quantize.rounding import GENERAL
from workbench.steps.state import State
from workbench.steps.step import Stage

LEVELS: dict[str, type[Levels]] = {"one": PowersOfTwo, "sum": AdditivePowers}


@register
@dataclass(frozen=True, kw_only=True)
class QuantizeLogarithmic(CodingStep):
    """Rounds weights to powers of two times a scale: fine steps near zero, where most weights lie."""

    kind: ClassVar[str] = "quantize_logarithmic"
    title: ClassVar[str] = "Quantize to powers of two"
    also: ClassVar[str] = "powers of two shift"
    shelf: ClassVar[str] = "Quantize"
    position: ClassVar[int] = 2
    stage: ClassVar[Stage] = Stage.QUANTIZE
    summary: ClassVar[str] = (
        "Rounds weights to powers of two, or to sums of them, times a scale. On hardware made for it a product "
        "is a shift; here the file gets smaller, not faster."
    )
    strength: ClassVar[str] = "bits"
    amounts: ClassVar[tuple[float, ...]] = (6, 5, 4, 3, 2)
    strength_counts_bits: ClassVar[bool] = True

    bits: int = option(4, "Width of a weight.", unit="bit", low=2, high=6, step=1)
    powers: str = option(
        "one", "One power of two a weight, or a sum of one for each two bits (additive).", choices=tuple(LEVELS)
    )
    granularity: str = option(
        "channel", "One scale for each output channel, or one for the tensor.", choices=("channel", "tensor")
    )
    ranges: str = option(
        "mse", "The scale that makes the squared error least, or the largest weight.", choices=("mse", "min-max")
    )
    rounding: str = option("nearest", ROUNDING_HELP, choices=GENERAL, more=True)

    def changes(self, state: State, context: Context) -> dict[str, Change]:
        return encoded(state, context, self.chosen(context.layers(state.model)), self._levels, self.rounding)

    def _levels(self, weight: Tensor, layer: Layer) -> Coding:
        axis = None if self.granularity == "tensor" else layer.outputs
        return fitted(LEVELS[self.powers], weight, self.bits, axis, self.ranges)
