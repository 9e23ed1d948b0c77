"""The weights of all layers as small histograms, one of which can be chosen."""

from __future__ import annotations

from collections.abc import Mapping
from threading import RLock
from typing import Any

import anywidget
import traitlets
from torch import Tensor

from widgets.figure import script
from widgets.fold import Fold
from widgets.view import View
from workbench.inspection import histogram
from workbench.session.session import Session

BINS = 40
# A small picture looks the same when evenly spread weights stand for millions.
MOST_VALUES = 20_000


class LayerHistograms(anywidget.AnyWidget):
    """A histogram a layer in the page."""

    _esm = script("names.js", "layer_histograms.js")
    rows: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)
    after = traitlets.Dict(help="Layer name to counts, where they are not those before.").tag(sync=True)
    selection: traitlets.List[str] = traitlets.List().tag(sync=True)


class AllWeights(View):
    """Folded away until someone looks; nothing is counted before."""

    def __init__(self, session: Session, lock: RLock) -> None:
        super().__init__(session, lock)
        self.histograms = LayerHistograms()
        self.root = Fold("Weights of all layers", self.histograms)
        self._spans: dict[str, tuple[float, float]] = {}
        self.root.button.observe(self.act(self._fill), "value")
        self.follow(self._fill, "history")
        self.follow(self.on_new_weights(self._show), "staged")
        self.share_selection(self.histograms)

    def _fill(self) -> None:
        if not self.root.unfolded:
            return
        parameters = dict(self.session.subject.model.named_parameters(remove_duplicate=False))
        model = self.session.state.model
        rows, self._spans = [], {}
        for layer in self.session.layers:
            weight = _thin(parameters.get(layer.parameter, model.get_parameter(layer.parameter)))
            self._spans[layer.name] = span = (float(weight.min()), float(weight.max()))
            shape = "×".join(str(side) for side in layer.shape)
            counts = list(_counts(weight, span))
            rows.append({"name": layer.name, "title": f"{layer.name}\n{layer.kind}, {shape}", "before": counts})
        with self.lock:
            self.histograms.rows = rows
        self._show()

    def _show(self) -> None:
        if not self.root.unfolded:
            return
        staged = self.session.staged
        changed: Mapping[str, Tensor] = staged.changed if staged is not None and not staged.error else {}
        parameters = dict(self.session.subject.model.named_parameters(remove_duplicate=False))
        model, after = self.session.state.model, {}
        for layer in self.session.layers:
            now = changed.get(layer.parameter, model.get_parameter(layer.parameter))
            if now is not parameters.get(layer.parameter) and layer.name in self._spans:
                after[layer.name] = list(_counts(_thin(now), self._spans[layer.name]))
        with self.lock:
            self.histograms.after = after


def _thin(weight: Tensor) -> Tensor:
    flat = weight.detach().flatten()
    return flat[:: max(len(flat) // MOST_VALUES, 1)]


def _counts(weight: Tensor, span: tuple[float, float]) -> tuple[int, ...]:
    return histogram(weight, BINS, span if span[0] < span[1] else None).counts
