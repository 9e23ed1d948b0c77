"""The weights of the chosen layer: before, now or in the preview, with its grid or threshold."""

from __future__ import annotations

from html import escape
from threading import RLock

import ipywidgets as W
import torch
from torch import Tensor

from widgets.figure import Figure
from widgets.view import View
from workbench.charts import weight_histogram
from workbench.coding import Coding
from workbench.inspection import histogram
from workbench.layers import Layer
from workbench.session import Session

BINS = 80
MOST_TICKS = 300


class Weights(View):
    """A histogram of one layer's weights, the untouched ones behind the ones that are shown."""

    def __init__(self, session: Session, lock: RLock) -> None:
        super().__init__(session, lock)
        self.title = W.HTML()
        self.chart = weight_histogram()
        self.figure = Figure(self.chart.figure)
        self.root = W.VBox([self.title, self.figure])
        self.watch(self._show, "selection", "history")
        self._drawn: object = None
        self.watch(self._show_preview, "staged")

    def _show_preview(self) -> None:
        staged = self.session.staged
        key = None if staged is None else (staged.step, staged.error)
        # Later stages of one preview bring other numbers, but the same weights.
        if key != self._drawn:
            self._drawn = key
            self._show()

    def _layer(self) -> Layer:
        layers = self.session.layers
        chosen = [layer for layer in layers if layer.name in self.session.selection]
        # With nothing chosen the largest one says most about the model.
        return chosen[0] if chosen else max(layers, key=lambda layer: layer.params)

    def _show(self) -> None:
        layer, state, staged = self._layer(), self.session.state, self.session.staged
        old = dict(self.session.subject.model.named_parameters(remove_duplicate=False)).get(layer.parameter)
        now = state.model.get_parameter(layer.parameter).detach()
        before = (old if old is not None else now).detach()
        codings = state.codings
        if staged is not None and not staged.error:
            now, codings = staged.changed.get(layer.parameter, now), staged.codings
        low, high = float(min(before.min(), now.min())), float(max(before.max(), now.max()))
        same = before.shape == now.shape and torch.equal(before, now)
        ticks = _ticks(codings.get(layer.parameter), low, high)
        with self.figure.update():
            self.chart.show(
                histogram(before, BINS, (low, high) if low < high else None),
                None if same else histogram(now, BINS, (low, high) if low < high else None),
                ticks,
                _threshold(before, now),
            )
        several = f" (of {len(self.session.selection)} chosen)" if len(self.session.selection) > 1 else ""
        shape = " × ".join(str(side) for side in now.shape)
        zeros = 1 - int(torch.count_nonzero(now)) / now.numel()
        self.title.value = (
            f"<b>{escape(layer.name)}</b>{several} <span class='wb-state'>{escape(layer.kind)}, {shape}, "
            f"{zeros:.0%} zeros{_scale(codings.get(layer.parameter))}</span>"
        )


def _threshold(before: Tensor, now: Tensor) -> float | None:
    """Return the largest magnitude that became zero, None if nothing did."""
    if before.shape != now.shape:
        return None
    gone = before[(now == 0) & (before != 0)].abs()
    return float(gone.max()) if len(gone) and float(now.count_nonzero()) else None


def _ticks(coding: Coding | None, low: float, high: float) -> list[float]:
    """Return the values that a weight can take between two bounds, [] where there are too many to tell apart."""
    if coding is None:
        return []
    tables = coding.tables().get("scale")
    if tables is not None and tables.ndim:
        return []  # each channel has a grid of its own
    values = coding.values(torch.arange(coding.count)).tolist()
    inside = [value for value in values if low <= value <= high]
    return inside if len(inside) <= MOST_TICKS else []


def _scale(coding: Coding | None) -> str:
    if coding is None:
        return ""
    scale = coding.tables().get("scale")
    grids = f", {scale.numel()} grids, one a channel" if scale is not None and scale.ndim else ""
    return f", {coding.bits} bits{grids}"
