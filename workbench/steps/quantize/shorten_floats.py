"""Shorter floating-point numbers for weights.

Micikevicius et al.: "FP8 Formats for Deep Learning", 2022; Kalamkar et al.: "A Study of BFLOAT16 for Deep Learning
Training", 2019.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from workbench.checkpoint.coding import FORMATS, Coding, Floating
from workbench.model.layers import Layer
from workbench.registry import register
from workbench.steps.change import Change
from workbench.steps.context import Context
from workbench.steps.option import option
from workbench.steps.quantize.encode import ROUNDING_HELP, CodingStep, encoded
from workbench.steps.quantize.rounding import GENERAL
from workbench.steps.state import State


def floating(weight: Tensor, name: str, axis: int | None) -> Floating:
    """Return the format's coding; eight-bit formats are scaled so that the largest weight is their largest number.

    Args:
        weight: Any shape.
        name: One of `FORMATS`.
        axis: The dimension of outputs, None for one scale in all.
    """
    if FORMATS[name].itemsize > 1:
        return Floating.of(name, torch.tensor(1.0))
    wide = weight.detach().float().abs()
    peak = wide.amax() if axis is None else wide.movedim(axis, 0).flatten(1).amax(1)
    scale = peak / torch.finfo(FORMATS[name]).max
    return Floating.of(name, torch.where(scale > 0, scale, torch.ones_like(scale)), axis)


@register
@dataclass(frozen=True, kw_only=True)
class ShortenFloats(CodingStep):
    """Stores weights as floating-point numbers of 16 or 8 bits."""

    kind: ClassVar[str] = "shorten_floats"
    title: ClassVar[str] = "Shorten floats"
    also: ClassVar[str] = "fp16 bf16 fp8 half precision"
    shelf: ClassVar[str] = "Quantize"
    position: ClassVar[int] = 5
    summary: ClassVar[str] = (
        "Rounds weights to floating-point numbers of 16 or 8 bits. The file gets two or four times smaller; "
        "computation goes on in the model's own type."
    )

    format: str = option("fp8 e4m3", "Exponent and mantissa bits: what is stored.", choices=tuple(reversed(FORMATS)))
    granularity: str = option(
        "channel", "Of 8-bit formats: one scale for each output channel, or for the tensor.",
        choices=("channel", "tensor"),
    )  # fmt: skip
    rounding: str = option("nearest", ROUNDING_HELP, choices=GENERAL, more=True)

    def changes(self, state: State, context: Context) -> dict[str, Change]:
        return encoded(state, context, self.chosen(context.layers(state.model)), self._format, self.rounding)

    def _format(self, weight: Tensor, layer: Layer) -> Coding:
        return floating(weight, self.format, None if self.granularity == "tensor" else layer.outputs)
