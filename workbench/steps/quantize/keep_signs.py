"""Weights as signs: -1 and 1 times a scale, with or without zero.

Rastegari et al.: "XNOR-Net: ImageNet Classification Using Binary Convolutional Neural Networks", 2016; Li and Liu:
"Ternary Weight Networks", 2016. Both scales are those of the least squared error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from workbench.checkpoint.coding import Binary, Coding, Ternary
from workbench.model.layers import Layer
from workbench.registry import register
from workbench.steps.change import Change
from workbench.steps.context import Context
from workbench.steps.option import option
from workbench.steps.quantize.encode import ROUNDING_HELP, CodingStep, encoded
from workbench.steps.quantize.rounding import GENERAL
from workbench.steps.state import State


def binary(weight: Tensor, axis: int | None) -> Binary:
    """Return the signs' coding with the mean magnitude as scale, for the tensor or each index of `axis`."""
    wide = weight.detach().float().abs()
    rows = wide.reshape(1, -1) if axis is None else wide.movedim(axis, 0).flatten(1)
    scale = _positive(rows.mean(1))
    return Binary(1, scale.reshape(()) if axis is None else scale, axis)


def ternary(weight: Tensor, axis: int | None) -> Ternary:
    """Return the coding of least squared error, for the tensor or each index of `axis`.

    With the k largest magnitudes as ±scale and the rest as zero, the best scale is their mean, and the error falls
    by (their sum)**2 / k: the best k is found by trying all.
    """
    wide = weight.detach().float().abs()
    rows = wide.reshape(1, -1) if axis is None else wide.movedim(axis, 0).flatten(1)
    sums = rows.sort(dim=1, descending=True).values.double().cumsum(1)
    counts = torch.arange(1, rows.shape[1] + 1, device=rows.device)
    best = (sums.square() / counts).argmax(1, keepdim=True)
    scale = _positive((sums.gather(1, best) / (best + 1)).squeeze(1).float())
    return Ternary(2, scale.reshape(()) if axis is None else scale, axis)


def _positive(scale: Tensor) -> Tensor:
    return torch.where(scale > 0, scale, torch.ones_like(scale))


@register
@dataclass(frozen=True, kw_only=True)
class KeepSigns(CodingStep):
    """Keeps of each weight only its sign, and whether it is nearly zero. One or two bits a weight."""

    kind: ClassVar[str] = "keep_signs"
    title: ClassVar[str] = "Keep signs"
    also: ClassVar[str] = "binary ternary 1 bit XNOR"
    shelf: ClassVar[str] = "Quantize"
    position: ClassVar[int] = 4
    summary: ClassVar[str] = (
        "Keeps of each weight only its sign, or sign and zero, times a scale. The file shrinks to a sixteenth or "
        "less; without training afterwards few networks stand it."
    )

    levels: str = option(
        "ternary",
        "Ternary has zero besides the signs, in two bits; binary takes one bit, but pruned layers stay ternary.",
        choices=("ternary", "binary"),
    )
    granularity: str = option(
        "channel", "One scale for each output channel, or one for the tensor.", choices=("channel", "tensor")
    )
    rounding: str = option("nearest", ROUNDING_HELP, choices=GENERAL, more=True)

    def changes(self, state: State, context: Context) -> dict[str, Change]:
        def fit(weight: Tensor, layer: Layer) -> Coding:
            axis = None if self.granularity == "tensor" else layer.outputs
            # Binary weights have no zero that a mask could keep.
            return (binary if self.levels == "binary" and layer.parameter not in state.pruned else ternary)(
                weight, axis
            )

        return encoded(state, context, self.chosen(context.layers(state.model)), fit, self.rounding)
