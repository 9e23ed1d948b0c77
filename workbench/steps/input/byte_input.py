"""Images as bytes, with their normalisation folded into the first layer: the file takes what a camera gives.

Jacob et al.: "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference", 2018,
section 2: an affine map from whole numbers to values. What it multiplies with goes into the weights of the first
convolution. What it adds goes into the bias where nothing is padded; else it is subtracted first, so that padding with
zeros stays what it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from workbench.errors import WorkbenchError
from workbench.model.quantizer import quantizers
from workbench.model.twin import sharing_copy
from workbench.registry import register
from workbench.steps.calibration import calibration_batches
from workbench.steps.context import Context
from workbench.steps.factorize.parts import layer_of
from workbench.steps.input.images import check_runs, first_layer, image_of, lacks_span, span_of
from workbench.steps.state import State
from workbench.steps.step import GraphStep, Need, Stage
from workbench.task.batch import entering
from workbench.task.feeding import Feed, by_channel, check_numbers
from workbench.task.task import Task

TOP = 255
GEOMETRY = ("stride", "padding", "dilation", "padding_mode")


def as_bytes(images: Tensor, low: tuple[float, ...], high: tuple[float, ...]) -> Tensor:
    """Return images [n, C, H, W] as uint8: 0 for low, 255 for high.

    Args:
        images: Floating point; what lies beyond the ends is brought to them.
        low: Of the C channels.
        high: Likewise.
    """
    first, last = by_channel(low, images), by_channel(high, images)
    return ((images.float() - first) / (last - first) * TOP).round().clamp(0, TOP).to(torch.uint8)


class Centred(nn.Module):
    """Bytes [n, C, H, W] as floating point, less a value for each channel: that which stands for zero."""

    zero: Tensor

    def __init__(self, zero: Tensor) -> None:
        super().__init__()
        self.register_buffer("zero", zero)

    def forward(self, images: Tensor) -> Tensor:
        return images.to(self.zero.dtype) - self.zero


def of_bytes(convolution: nn.Conv2d, low: tuple[float, ...], high: tuple[float, ...]) -> nn.Sequential:
    """Return what takes bytes and gives what a convolution gives for the values that they stand for.

    Args:
        convolution: Without groups.
        low: The value of byte 0 for each channel.
        high: The value of byte 255.
    """
    dtype = convolution.weight.dtype
    weight = convolution.weight.detach().double()
    first, last = (by_channel(ends, weight).double() for ends in (low, high))
    step = (last - first) / TOP
    bias = None if convolution.bias is None else convolution.bias.detach().double()
    zero, padded = -first / step, any(convolution._reversed_padding_repeated_twice) or convolution.padding == "same"
    if not padded or convolution.padding_mode != "zeros":
        shift = (weight * first).flatten(1).sum(1)
        bias, zero = shift if bias is None else bias + shift, torch.zeros_like(zero)
    geometry: dict[str, Any] = {name: getattr(convolution, name) for name in GEOMETRY}
    folded = layer_of(convolution, weight * step, bias, **geometry)
    return nn.Sequential(Centred(zero.to(dtype)), folded).train(convolution.training)


@register
@dataclass(frozen=True)
class AsBytes(Feed):
    """Images as bytes."""

    kind: ClassVar[str] = "as_bytes"

    low: tuple[float, ...]
    high: tuple[float, ...]

    def __post_init__(self) -> None:
        check_numbers("low", self.low)
        check_numbers("high", self.high)
        if len(self.low) != len(self.high) or not all(a < b for a, b in zip(self.low, self.high, strict=True)):
            raise WorkbenchError("what is done to inputs: low must be below high in every channel")

    def __call__(self, value: Tensor) -> Tensor:
        return as_bytes(value, self.low, self.high)

    def words(self) -> str:
        ends = (", ".join(f"{value:.4g}" for value in values) for values in (self.low, self.high))
        return "as bytes, 0 for {} and 255 for {}".format(*ends)


@register
@dataclass(frozen=True, kw_only=True)
class ByteInput(GraphStep):
    """Feeds the model images as bytes."""

    kind: ClassVar[str] = "byte_input"
    title: ClassVar[str] = "Byte input"
    also: ClassVar[str] = "uint8"
    summary: ClassVar[str] = (
        "Lets the model take images as bytes, with their normalisation folded into its first convolution: a quarter of "
        "the input, and nobody has to normalise. Of images that were bytes outputs stay the same."
    )
    shelf: ClassVar[str] = "Input"
    position: ClassVar[int] = 4
    stage: ClassVar[Stage] = Stage.REPLACE

    def needs(self) -> frozenset[Need]:
        return super().needs() | {Need.GRAPH}

    def lacks(self, task: Task) -> str:
        return super().lacks(task) or lacks_span(task)

    def build(self, state: State, context: Context) -> State:
        self.chosen(context.layers(state.model))  # a name that matches nothing is an error before any work
        if quantizers(state.model):
            raise WorkbenchError(f"{self.title}: activations are on grids; put {self.kind} before")
        if not image_of(state, context, self.title).is_floating_point():
            raise WorkbenchError(f"{self.title}: the images are bytes already")
        name, convolution = first_layer(state, context, self.title)
        low, high = span_of(state, context)
        model = sharing_copy(state.model)
        model.set_submodule(name, of_bytes(convolution, low, high))
        gone = f"{name}.weight"
        notes = [f"{name}: takes bytes"]
        notes += [f"{gone}: stored in full again, since a scale was folded into it"] if gone in state.codings else []
        changed = state.with_feed(AsBytes(low, high), model, origins={f"{name}.1": name})
        check_runs(state, changed, context, self.title, "bytes")
        return changed.with_notes(*notes, *_rounding(state, low, high, context))


def _rounding(state: State, low: tuple[float, ...], high: tuple[float, ...], context: Context) -> list[str]:
    """Return a note where images were no bytes before, so that they are rounded."""
    if not context.subject.task.has("calibration"):
        return []
    inputs, _ = next(calibration_batches(context.subject.task, context.progress, "looking at inputs"))
    (image,) = entering(state.model, inputs)
    first, last = by_channel(low, image), by_channel(high, image)
    back = as_bytes(image, low, high).float() / TOP * (last - first) + first
    worst = float(((back - image.float()).abs() / (last - first)).max())
    return [f"the images were no bytes: they are rounded by up to {worst:.2%} of their range"] if worst > 1e-3 else []
