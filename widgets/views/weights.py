"""The weights of the chosen layer: before, now or in the preview, with the grid, and bounds that can be dragged."""

from __future__ import annotations

from html import escape
from threading import RLock

import ipywidgets as W
import torch
from torch import Tensor

from widgets import theme
from widgets.figure import Figure
from widgets.view import View
from workbench import formatting
from workbench.charts import drawn_charts, weight_histogram
from workbench.checkpoint.coding import Coding
from workbench.errors import WorkbenchError
from workbench.inspection import Histogram, grid_values, histogram
from workbench.model.layers import Layer
from workbench.session.session import Session
from workbench.steps import Bounds

BINS = 80
HEIGHT = 210  # with its slider in one screen
MOST_TICKS = 300


class Weights(View):
    """A histogram of one layer's weights, the untouched ones behind those that are shown; below it registered charts.

    Where the step that is being set cuts or clips is the step's to say, and so is what a drag of it sets.
    """

    def __init__(self, session: Session, lock: RLock) -> None:
        super().__init__(session, lock)
        self.title, self.hint = W.HTML(), W.HTML()
        self.chart = weight_histogram(height=HEIGHT)
        for box in (self.chart.cut, self.chart.clip):
            box.update(editable=True, use_handles=True, symmetric=True)
        self.figure = Figure(self.chart.figure, lock, "Histogram of the chosen layer's weights, before and after")
        for box in (self.chart.cut, self.chart.clip):
            self.figure.on_drag(box, self.hear(self._drag), "left", "right")
        self.others = W.VBox()  # charts that were registered
        self.root = W.VBox([self.title, self.figure, self.hint, self.others])
        self.watch(self._show, "selection", "history")
        self.watch(self.on_new_weights(self._show), "staged")
        self.watch(self._show_bounds, "draft", "selection", "history")

    def _weight(self, layer: Layer) -> Tensor:
        return self.session.state.model.get_parameter(layer.parameter).detach()

    def _bounds(self, layer: Layer) -> Bounds | None:
        draft = self.session.draft
        try:
            reached = draft is not None and layer in draft.chosen(self.session.layers)
        except WorkbenchError:  # the form says so at its place
            return None
        return draft.bounds(self._weight(layer), layer) if draft is not None and reached else None

    def _drag(self, values: dict[str, float]) -> None:
        draft, layer = self.session.draft, self.chosen_layer()
        if draft is None:
            return
        step = draft.with_bounds(self._weight(layer), layer, values["left"], values["right"])
        if step != draft or self.session.staged is None:
            self.session.preview(step)
        else:  # the hand moved less than the option can
            with self.lock:
                self._show_bounds()

    def _show_bounds(self) -> None:
        bounds = self._bounds(self.chosen_layer())
        inside = bounds is not None and bounds.gone == "inside"
        with self.figure.update():
            self.chart.clip.symmetric = bounds is not None and bounds.mirrored
            self.chart.mark(
                bounds.high if bounds and inside else None, (bounds.low, bounds.high) if bounds and not inside else None
            )
        if bounds is None or self.session.draft is None:
            self.hint.value = ""
            return
        act = "becomes zero" if inside else "is clipped"
        side = "between" if inside else "outside of"
        self.hint.value = (
            f"<p class='wb-hint'>What lies {side} the dashed lines {act}. Drag their handles to set "
            f"<b>{escape(bounds.option)}</b>.</p>"
        )

    def _show(self) -> None:
        layer, state, staged = self.chosen_layer(), self.session.state, self.session.staged
        old = dict(self.session.subject.model.named_parameters(remove_duplicate=False)).get(layer.parameter)
        now = self._weight(layer)
        before = (old if old is not None else now).detach()
        codings = state.codings
        if staged is not None and not staged.error:
            now, codings = staged.changed.get(layer.parameter, now), staged.codings
        low, high = float(min(before.min(), now.min())), float(max(before.max(), now.max()))
        span = (low, high) if low < high else None
        same = before.shape == now.shape and torch.equal(before, now)
        coding = codings.get(layer.parameter)
        ticks, which = _ticks(coding, low, high)
        counted = histogram(before, BINS, span), histogram(now, BINS, span)
        with self.figure.update():
            self.chart.show_values(counted[0], None if same else counted[1], ticks)
        several = f" (of {len(self.session.selection)} chosen)" if len(self.session.selection) > 1 else ""
        shape = " × ".join(str(side) for side in now.shape)
        zeros = 1 - int(torch.count_nonzero(now)) / now.numel()
        bits = f", {coding.bits} bits{which}" if coding else ""
        self.title.value = (
            f"<b>{escape(layer.name)}</b>{several} <span class='wb-state'>{escape(layer.kind)}, {shape}, "
            f"{formatting.percent(zeros)} zeros{bits}</span>"
        )
        self._show_others(layer, *counted)

    def _show_others(self, layer: Layer, before: Histogram, after: Histogram) -> None:
        """Draw the registered charts anew: nobody can say which of their figures' models a chart would change."""
        old, shown = self.others.children, list[W.Widget]()
        for chart in drawn_charts(before, after):
            shown.append(W.HTML(f"<p class='wb-help'>{escape(chart.title)}</p>"))
            if chart.figure is None:
                shown.append(W.HTML(theme.note(f"This chart could not be drawn: {chart.error}", "error")))
            else:
                shown.append(Figure(chart.figure, self.lock, f"{chart.title} of {layer.name}"))
        self.others.children = shown
        for widget in old:
            widget.close()


def _ticks(coding: Coding | None, low: float, high: float) -> tuple[list[float], str]:
    """Return the values that a weight can take between two bounds, [] where there are too many; and whose they are."""
    if coding is None:
        return [], ""
    values, grids = grid_values(coding)
    inside = [value for value in values if low <= value <= high]
    which = f", {grids} grids: ticks are the widest" if grids > 1 else ""
    return (inside, which) if len(inside) <= MOST_TICKS else ([], which)
