"""A corner of a real weight, with its mask and its numbers."""

from __future__ import annotations

from html import escape

import ipywidgets as W
from torch import Tensor

from widgets.lesson.tools.tool import Tool, slider
from workbench import formatting

KEPT = {True: "wbl-kept", False: "wbl-gone"}


class MaskTool(Tool):
    """The first few rows and columns of a weight; a slider says how many of its values go, the smallest first.

    Args:
        weight: Any tensor of two or more dimensions; the others are cut at their first place.
        name: What it is called.
        side: Rows and columns that are shown.
    """

    def __init__(self, weight: Tensor, name: str, side: int = 5) -> None:
        corner = weight.detach().flatten(2)[:, :, 0] if weight.ndim > 2 else weight.detach()
        self.corner = corner[:side, :side].clone()
        self.count = slider("weights that go", self.corner.numel() // 2, 0, self.corner.numel())
        self.table = W.HTML()
        super().__init__(f"{side} × {side} weights of {name}", [self.count, self.table])
        self.count.observe(lambda _: self._show(), "value")
        self._show()

    def _show(self) -> None:
        order = self.corner.abs().flatten().argsort(stable=True)
        kept = self.corner.new_ones(self.corner.numel())
        kept[order[: self.count.value]] = 0
        mask = kept.view_as(self.corner).bool()
        self.table.value = f"<div class='wbl-tensors'>{_table(self.corner, mask)}{_mask(mask)}</div>"
        gone = self.corner[~mask].abs()
        self.tell(
            {
                "threshold": f"{float(gone.max()):.4f}" if len(gone) else "0",
                "zeros": formatting.percent(1 - float(mask.float().mean())),
                "squared error": formatting.percent(float((gone**2).sum() / (self.corner**2).sum()), 1),
            }
        )


def _table(values: Tensor, mask: Tensor) -> str:
    rows = "".join(
        "<tr>" + "".join(_cell(float(value), bool(stays)) for value, stays in zip(row, kept, strict=True)) + "</tr>"
        for row, kept in zip(values, mask, strict=True)
    )
    return f"<figure><figcaption>weights</figcaption><table class='wbl-tensor'>{rows}</table></figure>"


def _cell(value: float, stays: bool) -> str:
    text = escape(formatting.minus(f"{value:.3f}"))
    said = "stays" if stays else "becomes zero"
    return f"<td class='{'wbl-kept' if stays else 'wbl-gone'}' aria-label='{text}, {said}'>{text}</td>"


def _mask(mask: Tensor) -> str:
    rows = "".join(
        f"<tr>{''.join(f'<td class={KEPT[bool(stays)]}>{int(stays)}</td>' for stays in row)}</tr>" for row in mask
    )
    return f"<figure><figcaption>mask</figcaption><table class='wbl-tensor'>{rows}</table></figure>"
