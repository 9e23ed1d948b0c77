"""The map of the model: its traced graph, folded into blocks, coloured by what is known of each layer."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from threading import RLock
from typing import Any

import anywidget
import traitlets

from widgets.figure import script
from widgets.view import View
from workbench.graph.modules import ModuleGraph, in_order
from workbench.inspection import model_map
from workbench.inspection.model_map import QUANTITIES, Box, Drawing
from workbench.jobs.progress import Progress
from workbench.model.layers import Layer
from workbench.session.session import Session

SECONDS = 0.5  # between two colourings while a scan runs
SHORT = 22


class ModelMap(anywidget.AnyWidget):
    """The drawn map in the page; a click, a key or a rectangle chooses layers."""

    _esm = script("names.js", "part.js", "map_boxes.js", "model_map.js")
    drawing = traitlets.Dict({"boxes": [], "frames": [], "lines": [], "width": 0, "height": 0}).tag(sync=True)
    colors = traitlets.Dict(
        {"title": "bytes", "low": "", "high": "", "tone": "", "boxes": {}},
        help="Quantity, ends of the scale; for each box its part of it, in words, and whether a preview changes it.",
    ).tag(sync=True)
    choices = traitlets.List([[name, one.title] for name, one in QUANTITIES.items()]).tag(sync=True)
    coupled: traitlets.List[list[str]] = traitlets.List(help="Layers whose channels go together.").tag(sync=True)
    selection: traitlets.List[str] = traitlets.List().tag(sync=True)
    count = traitlets.Int(help="Number of layers.").tag(sync=True)
    note = traitlets.Unicode().tag(sync=True)


class MapView(View):
    """Shows the layers in the order of the code at once, and as the graph when that was traced."""

    def __init__(self, session: Session, lock: RLock) -> None:
        super().__init__(session, lock)
        self.root = ModelMap()
        self._graph: ModuleGraph | None = None
        self._traced: tuple[str, ...] = ()
        self._unfolded: frozenset[str] | None = None
        self._boxes: tuple[Box, ...] = ()
        self._quantity, self._times = "bytes", dict[str, float]()
        # Darkest values so far, so that what is compressed gets paler and the scale does not follow it down.
        self._tops: dict[str, float] = {}
        self._staged: object = None
        self._due = 0.0
        self.root.on_msg(lambda _, message, __: self.receive(message))
        self.share_selection(self.root)
        self.follow(self.begin, "history")
        self.watch(self._recolor, "history", "measurements")
        self.watch(self._preview, "staged")
        self.watch(self._scanned, "table", "jobs")

    def begin(self) -> None:
        """Have the current model traced, if it has other layers than what is drawn."""
        names = tuple(layer.name for layer in self.session.layers)
        if names == self._traced:
            return
        self._traced, self._times = names, {}
        self._show(in_order(self.session.layers), "in the order of the code")
        self.session.start("Map of the model", self.trace)

    def trace(self, progress: Progress) -> None:
        """Trace the current model, and draw it."""
        progress.update(0.1, "tracing")
        graph = self.session.module_graph
        self._show(graph, "in the order of the code: it cannot be traced" if graph.note else "")

    def _show(self, graph: ModuleGraph, note: str) -> None:
        with self.lock, self.quietly():
            if self._graph is None or {part.blocks for part in graph.parts} != {p.blocks for p in self._graph.parts}:
                self._unfolded = None
            self._graph = graph
            self.root.coupled = [list(names) for names in graph.coupled]
            self.root.count = len(self.session.layers)
            self.root.note = note
            self._draw()

    def receive(self, message: Mapping[str, Any]) -> None:
        """Work off what a page sends: {"fold": name of a block, "*" for all} or {"quantity": name}."""
        name, quantity = message.get("fold"), message.get("quantity")
        if quantity in QUANTITIES:
            self._quantity = str(quantity)
            if quantity == "time" and not self._times:
                self.session.start("Time each layer", self.time)
        with self.lock, self.quietly():
            if isinstance(name, str) and self._graph is not None and self._unfolded is not None:
                block = name.removesuffix("/")
                self._unfolded = frozenset() if name == "*" else self._unfolded ^ {block}
                self._draw()
            self._recolor()

    def time(self, progress: Progress) -> None:
        """Time each layer of the current model."""
        session = self.session
        example = session.subject.task.example(session.settings.batch)
        times = model_map.layer_times(session.state.model, example, session.layers, progress)
        with self.lock, self.quietly():
            self._times = times
            self._recolor()

    def _draw(self) -> None:
        if self._graph is None:
            return
        if self._unfolded is None:
            self._unfolded = model_map.default_unfolded(self._graph)
        view = model_map.fold(self._graph, self._unfolded)
        self._boxes, self._tops = view.boxes, {}
        facts = {layer.name: layer for layer in self.session.layers}
        self.root.drawing = _drawn(model_map.lay_out(view), view.boxes, facts)
        self._recolor()

    def _preview(self) -> None:
        staged = self.session.staged
        key = staged and (staged.weights_key, staged.bytes)
        if key != self._staged:  # later stages bring other numbers, but the same weights
            self._staged = key
            self._recolor()

    def _scanned(self) -> None:
        busy = any(job.active for job in self.session.jobs)
        if self._quantity == "sensitivity" and (not busy or time.monotonic() >= self._due):
            self._due = time.monotonic() + SECONDS
            self._recolor()

    def _recolor(self) -> None:
        session, quantity = self.session, QUANTITIES[self._quantity]
        if not self._boxes:
            return
        now = self._values(preview=True)
        before = self._values(preview=False) if session.staged is not None else now
        values = {
            box.name: quantity.block(known)
            for box in self._boxes
            if (known := [now[n] for n in box.layers if n in now])
        }
        staged = {box.name for box in self._boxes if any(now.get(name) != before.get(name) for name in box.layers)}
        top = max(self._tops.get(self._quantity, 0.0), quantity.scale(list(values.values())) if values else 0.0) or 1.0
        self._tops[self._quantity] = 0.0 if quantity.fixed or not values else top
        self.root.colors = {
            "title": self._quantity,
            "low": quantity.say(0.0) if values else "not known yet",
            "high": quantity.say(top) if values else "",
            "tone": quantity.tone,
            "boxes": {
                name: [min(max(value / top, 0.0), 1.0), quantity.say(value), name in staged]
                for name, value in values.items()
                if math.isfinite(value)
            },
        }

    def _values(self, *, preview: bool) -> dict[str, float]:
        session, staged = self.session, self.session.staged
        shown = staged if preview and staged is not None and not staged.error else None
        measured = session.measurements.get(session.history.at)
        size = shown.bytes if shown is not None else measured.bytes if measured is not None else None
        values = model_map.layer_values(
            session.state,
            session.layers,
            {layer.name: math.prod(layer.shape) for layer in session.subject_layers},
            file=size.layers if size is not None else {},
            scan=session.table,
            times=self._times,
            nonzeros=shown.nonzeros if shown is not None else {},
            codings=shown.codings if shown is not None else session.state.codings,
        )
        return values[self._quantity]


def _drawn(drawing: Drawing, boxes: tuple[Box, ...], facts: Mapping[str, Layer]) -> dict[str, Any]:
    """Return a drawing as plain values for the page."""
    return {
        "boxes": [
            {
                "name": box.name,
                "kind": box.kind,
                "short": shorten(box.title, box.blocks),
                "hint": _hint(box, facts),
                "layers": list(box.layers),
                "blocks": list(box.blocks),
                **_corners(drawing.places[box.name]),
            }
            for box in boxes
        ],
        "frames": [
            {"name": name, "short": shorten(name, ()), **_corners(place)} for name, place in drawing.frames.items()
        ],
        "lines": [[[round(x, 1), round(y, 1)] for x, y in points] for _, _, points in drawing.lines],
        "width": round(drawing.width, 1),
        "height": round(drawing.height, 1),
    }


def _corners(place: model_map.Placed) -> dict[str, float]:
    return {"x": round(place.x, 1), "y": round(place.y, 1), "w": round(place.width, 1), "h": round(place.height, 1)}


def _hint(box: Box, facts: Mapping[str, Layer]) -> str:
    if box.kind == "block":
        return f"{box.title}: {len(box.layers)} layers\nA click chooses them, a double click unfolds the block."
    layer = facts.get(box.layers[0]) if box.layers else None
    if layer is None:
        return box.title
    return f"{box.title}\n{layer.kind}, {'×'.join(map(str, layer.shape))}"


def shorten(name: str, blocks: tuple[str, ...]) -> str:
    """Return a name without the unfolded block around it; of a long one the middle is left out."""
    if len(name) <= SHORT:
        return name
    if blocks and name.startswith(f"{blocks[-1]}."):
        name = f"…{name[len(blocks[-1]) :]}"
    if len(name) <= SHORT:
        return name
    words = [f"{word[:3]}…" if len(word) > 6 and not word.isdigit() else word for word in name.split(".")[:-1]]
    name = ".".join([*words, name.split(".")[-1]])
    return name if len(name) <= SHORT else f"{name[: SHORT // 3]}…{name[-(SHORT - SHORT // 3 - 1) :]}"
