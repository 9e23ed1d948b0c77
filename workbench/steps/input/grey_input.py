"""Grey images: one channel in the place of several, with the sum folded into the first layer.

A net that is fed the same grey value in every channel computes with the sum of its first layer's weights over the
channels; that sum is a layer of one channel, and exact. What is lost is colour: Xie, Richmond: "Pre-training on
Grayscale ImageNet Improves Medical Image Classification", 2018, measure how little classes often need it. The weights
of the colours are those of ITU-R BT.601.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from workbench.errors import WorkbenchError
from workbench.model.quantizer import quantizers
from workbench.model.twin import sharing_copy
from workbench.registry import register
from workbench.steps.context import Context
from workbench.steps.factorize.parts import layer_of
from workbench.steps.input.images import check_runs, first_layer, image_of
from workbench.steps.option import option
from workbench.steps.state import State
from workbench.steps.step import GraphStep, Need, Stage
from workbench.task.feeding import Feed, Span, by_channel, check_numbers

LUMA = (0.299, 0.587, 0.114)
GEOMETRY = ("stride", "padding", "dilation", "padding_mode")


def grey(images: Tensor, weights: tuple[float, ...]) -> Tensor:
    """Return the weighed sum of channels, [n, 1, H, W], in the same type; bytes are rounded.

    Args:
        images: [n, C, H, W].
        weights: Of the C channels.
    """
    total = (images.float() * by_channel(weights, images)).sum(1, keepdim=True)
    return total.to(images.dtype) if images.is_floating_point() else total.round().clamp(0, 255).to(images.dtype)


def of_one_channel(convolution: nn.Conv2d) -> nn.Module:
    """Return a convolution of one channel that gives what this one gives for the same image in all channels."""
    weight = convolution.weight.detach().double().sum(1, keepdim=True)
    geometry: dict[str, Any] = {name: getattr(convolution, name) for name in GEOMETRY}
    return layer_of(convolution, weight, convolution.bias, **geometry)


@register
@dataclass(frozen=True)
class Greyed(Feed):
    """Images of one channel."""

    kind: ClassVar[str] = "greyed"

    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        check_numbers("weights", self.weights)

    def __call__(self, value: Tensor) -> Tensor:
        return grey(value, self.weights)

    def bits(self, before: int, whole: int) -> int:
        return whole  # means lie between the levels of a grid

    def span(self, low: Span, high: Span) -> tuple[Span, Span]:
        ends = (tuple(weight * end for weight, end in zip(self.weights, of, strict=True)) for of in (low, high))
        first, last = (sum(values) for values in ends)
        return (first,), (last,)

    def words(self) -> str:
        return f"grey: the sum of channels times {', '.join(f'{weight:.4g}' for weight in self.weights)}"


@register
@dataclass(frozen=True, kw_only=True)
class GreyInput(GraphStep):
    """Feeds the model grey images."""

    kind: ClassVar[str] = "grey_input"
    title: ClassVar[str] = "Grey input"
    also: ClassVar[str] = "gray grayscale colour channels"
    summary: ClassVar[str] = (
        "Feeds the model one grey channel in the place of several, with the sum folded into its first convolution: a "
        "third of the input, and fewer computations there. Train afterwards where colours matter."
    )
    shelf: ClassVar[str] = "Input"
    position: ClassVar[int] = 2
    stage: ClassVar[Stage] = Stage.REPLACE

    weights: str = option(
        "luma",
        "How much each colour counts: as eyes see red, green and blue, or all alike, as other channels than three do.",
        choices=("luma", "mean"),
    )

    def needs(self) -> frozenset[Need]:
        return super().needs() | {Need.GRAPH}

    def build(self, state: State, context: Context) -> State:
        self.chosen(context.layers(state.model))  # a name that matches nothing is an error before any work
        if quantizers(state.model):
            raise WorkbenchError(f"{self.title}: activations are on grids; put {self.kind} before")
        channels = image_of(state, context, self.title).shape[1]
        if channels == 1:
            raise WorkbenchError(f"{self.title}: the images have one channel already")
        name, convolution = first_layer(state, context, self.title)
        model = sharing_copy(state.model)
        model.set_submodule(name, of_one_channel(convolution))
        shares = LUMA if self.weights == "luma" and channels == len(LUMA) else (1 / channels,) * channels
        gone = f"{name}.weight"
        coded = [f"{gone}: stored in full again, since its channels are one"] if gone in state.codings else []
        codings = {one: coding for one, coding in state.codings.items() if one != gone}
        small = state.with_feed(Greyed(tuple(shares)), model, codings=codings)
        check_runs(state, small, context, self.title, "grey images")
        return small.with_notes(f"{name}: reads one grey channel in the place of {channels}", *coded)
