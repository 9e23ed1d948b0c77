"""Smaller images: fewer pixels to store, to send, and to compute with.

Howard et al.: "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications", 2017, whose
resolution multiplier this is; Touvron et al.: "Fixing the Train-Test Resolution Discrepancy", 2019, on why a net has to
be trained on at the size that it is used with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.registry import register
from workbench.steps.context import Context
from workbench.steps.input.images import check_runs, image_of
from workbench.steps.option import option
from workbench.steps.state import State
from workbench.steps.step import Axes, GraphStep, Stage
from workbench.task.feeding import LARGEST_SIDE, Feed, check_whole

METHODS = ("area", "bilinear")


def resized(images: Tensor, height: int, width: int, method: str) -> Tensor:
    """Return images [n, C, H, W] as [n, C, height, width], in the same type; bytes are rounded.

    Args:
        images: Of any size.
        height: In pixels.
        width: In pixels.
        method: "area", the mean of what a pixel covers, or "bilinear", between neighbours (smoothed before, where it
            gets smaller).
    """
    ways: dict[str, Any] = {"antialias": True, "align_corners": False} if method == "bilinear" else {}
    small = F.interpolate(images.float(), (height, width), mode=method, **ways)
    if images.is_floating_point():
        return small.to(images.dtype)
    return small.round().clamp(0, 255).to(images.dtype)


@register
@dataclass(frozen=True)
class Resized(Feed):
    """Images of another size."""

    kind: ClassVar[str] = "resized"

    height: int
    width: int
    method: str

    def __post_init__(self) -> None:
        check_whole("height", self.height, 1, LARGEST_SIDE)
        check_whole("width", self.width, 1, LARGEST_SIDE)
        if self.method not in METHODS:
            raise WorkbenchError(f"what is done to inputs: a size is changed by {' or '.join(METHODS)}")

    def __call__(self, value: Tensor) -> Tensor:
        return resized(value, self.height, self.width, self.method)

    def bits(self, before: int, whole: int) -> int:
        return whole  # means lie between the levels of a grid

    def words(self) -> str:
        return f"resized to {self.height} × {self.width} pixels ({self.method})"


@register
@dataclass(frozen=True, kw_only=True)
class ResizeInput(GraphStep):
    """Feeds the model smaller images."""

    kind: ClassVar[str] = "resize_input"
    title: ClassVar[str] = "Resize input"
    also: ClassVar[str] = "resolution image size"
    summary: ClassVar[str] = (
        "Feeds the model smaller images, so that there is less to store and to compute. It must run on any size, as "
        "nets do that end in a mean over places; train afterwards, since what it sees has another scale."
    )
    shelf: ClassVar[str] = "Input"
    position: ClassVar[int] = 1
    stage: ClassVar[Stage] = Stage.REPLACE
    axes: ClassVar[Axes] = {"scale": (0.75, 0.5)}

    scale: float = option(0.5, "Part of the height and of the width that is left.", low=0.05, high=1.0, step=0.05)
    method: str = option(
        "area", "Mean of what each pixel covers, or between neighbours, smoothed before.", choices=METHODS
    )

    def build(self, state: State, context: Context) -> State:
        self.chosen(context.layers(state.model))  # a name that matches nothing is an error before any work
        image = image_of(state, context, self.title)
        height, width = (max(round(side * self.scale), 1) for side in image.shape[2:])
        if (height, width) == tuple(image.shape[2:]):
            return state.with_notes(f"{self.title.lower()}: the images have {height} × {width} pixels already")
        small = state.with_feed(Resized(height, width, self.method))
        check_runs(state, small, context, self.title, f"{height} × {width} pixels")
        return small.with_notes(f"inputs are resized from {image.shape[2]} × {image.shape[3]} to {height} × {width}")
