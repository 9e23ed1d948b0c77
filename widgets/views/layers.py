"""The layer table; what is chosen in it is the session's selection."""

from __future__ import annotations

from threading import RLock
from typing import Any

import anywidget
import torch
import traitlets

from widgets.figure import STATIC
from widgets.view import View
from workbench import numbers
from workbench.session import Session


class LayerTable(anywidget.AnyWidget):
    """A table of layers in the page."""

    _esm = STATIC / "layer_table.js"
    rows: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)
    selection: traitlets.List[str] = traitlets.List().tag(sync=True)


class Layers(View):
    """Facts of each layer of the current state, with what is kept of it and its width in bits."""

    def __init__(self, session: Session, lock: RLock) -> None:
        super().__init__(session, lock)
        self.root = LayerTable()
        self.root.observe(self.act(self._choose), "selection")
        self.watch(self._fill, "history")
        self.follow(self._forget, "history")
        self.watch(self._mark, "selection")

    def _choose(self) -> None:
        self.session.selection = tuple(self.root.selection)

    def _mark(self) -> None:
        self.root.selection = list(self.session.selection)

    def _fill(self) -> None:
        state = self.session.state
        before = {layer.name: layer for layer in self.session.subject_layers}
        rows = []
        for layer in self.session.layers:
            weight = state.model.get_parameter(layer.parameter)
            was = before.get(layer.name, layer)
            size = 1
            for side in was.shape:
                size *= side
            coding = state.codings.get(layer.parameter)
            ties = f"\nshares its weight with {', '.join(layer.ties)}" if layer.ties else ""
            rows.append(
                {
                    "name": layer.name,
                    "title": f"{layer.name}{ties}",
                    "kind": layer.kind,
                    "shape": "×".join(str(side) for side in layer.shape),
                    "params": numbers.count(layer.params),
                    "macs": numbers.count(layer.macs),
                    "kept": int(torch.count_nonzero(weight)) / size,
                    "bits": str(coding.bits if coding else weight.element_size() * 8),
                }
            )
        self.root.rows = rows

    def _forget(self) -> None:
        names = {layer.name for layer in self.session.layers}
        self.session.selection = tuple(name for name in self.session.selection if name in names)
