"""The layer table; what is chosen in it is the session's selection."""

from __future__ import annotations

import math
from threading import RLock
from typing import Any

import anywidget
import traitlets

from widgets.figure import script
from widgets.view import View
from workbench import formatting
from workbench.checkpoint.coding import Coding
from workbench.session.session import Session


class LayerTable(anywidget.AnyWidget):
    """A table of layers in the page."""

    _esm = script("part.js", "csv.js", "names.js", "layer_table.js")
    rows: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)
    preview = traitlets.Dict(help="Layer name to what a preview would keep of it, and in how many bits.").tag(sync=True)
    selection: traitlets.List[str] = traitlets.List().tag(sync=True)


class Layers(View):
    """Facts of each layer of the current state, with what is kept of it and its width in bits; or of the preview."""

    def __init__(self, session: Session, lock: RLock) -> None:
        super().__init__(session, lock)
        self.root = LayerTable()
        self.watch(self._fill, "history")
        self.follow(self._forget, "history")
        self.share_selection(self.root)
        self._staged: object = None
        self.watch(self._preview, "staged")

    def _sizes(self) -> dict[str, int]:
        """Return how many weights each layer of the untouched subject has."""
        return {layer.name: math.prod(layer.shape) for layer in self.session.subject_layers}

    def _fill(self) -> None:
        state, sizes = self.session.state, self._sizes()
        rows = []
        for layer in self.session.layers:
            weight = state.model.get_parameter(layer.parameter)
            ties = f"\nshares its weight with {', '.join(layer.ties)}" if layer.ties else ""
            shape = "×".join(str(side) for side in layer.shape)
            left = int(weight.count_nonzero()) / sizes.get(layer.name, weight.numel())
            bits = _bits(state.codings.get(layer.parameter), weight.element_size())
            rows.append(
                {
                    "name": layer.name,
                    "title": f"{layer.name}\n{layer.kind}, {shape}{ties}",
                    "kind": layer.kind,
                    "shape": shape,
                    "params": formatting.count(layer.params),
                    "macs": formatting.count(layer.macs),
                    "kept": left,
                    "bits": bits,
                    "sort": [
                        layer.name,
                        layer.kind,
                        math.prod(layer.shape),
                        layer.params,
                        layer.macs,
                        left,
                        float(bits),
                    ],
                }
            )
        self.root.rows = rows

    def _preview(self) -> None:
        staged = self.session.staged
        key = staged and staged.weights_key
        if key == self._staged:  # later stages bring other numbers, but the same weights
            return
        self._staged = key
        preview = {}
        if staged is not None and not staged.error:
            model, sizes = self.session.state.model, self._sizes()
            for layer in self.session.layers:
                left = staged.nonzeros.get(layer.parameter)
                if left is not None:
                    width = model.get_parameter(layer.parameter).element_size()
                    share = left / sizes.get(layer.name, math.prod(layer.shape))
                    preview[layer.name] = [share, _bits(staged.codings.get(layer.parameter), width)]
        self.root.preview = preview

    def _forget(self) -> None:
        names = {layer.name for layer in self.session.layers}
        self.session.selection = tuple(name for name in self.session.selection if name in names)


def _bits(coding: Coding | None, width: int) -> str:
    return str(coding.bits if coding else width * 8)
