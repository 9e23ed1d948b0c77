"""Bokeh figures in the panel, without storing BokehJS in the notebook.

BokehJS travels once as the state of a widget, from the installed package, and so is in no cell's output. A
figure is sent once, when a page first shows it: most of a panel's figures lie in tabs that are not open, and to make
them all takes seconds. Afterwards only what changed in its models is sent, as state and not as messages, so that a
second tab or a reloaded page shows what the first does.

The other way go drags of annotations and taps on glyphs, and nothing else: the page is told which attributes of
which models count, sends the newest values as soon as the kernel has seen those before, and keeps what is under
the hand from being overwritten until then.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import RLock
from typing import Any

import anywidget
import traitlets
from bokeh.document import Document
from bokeh.embed import json_item
from bokeh.model import Model
from bokeh.models import Annotation, BoxZoomTool, GlyphRenderer, ResetTool, SaveTool, TapTool
from bokeh.plotting import figure as BokehFigure  # the class is spelt like a function
from bokeh.resources import Resources

STATIC = Path(__file__).parent / "static"


def script(*names: str) -> str:
    """Return scripts of the panel as one; the last one is the widget's."""
    return "\n".join((STATIC / name).read_text(encoding="utf-8") for name in names)


@cache
def _script() -> str:
    return "\n".join(Resources(mode="inline", components=["bokeh"]).js_raw)


class BokehJS(anywidget.AnyWidget):
    """Loads BokehJS into the page; has no look of its own."""

    _esm = STATIC / "bokeh.js"
    source = traitlets.Unicode().tag(sync=True)

    def __init__(self) -> None:
        super().__init__(source=_script())


@dataclass(frozen=True)
class _Follower:
    """Who hears of a model that people move."""

    model: Model
    attributes: tuple[str, ...]
    do: Callable[[dict[str, float]], Any]
    mirrored: bool = True


class Figure(anywidget.AnyWidget):
    """One Bokeh figure.

    Args:
        figure: Shown as it is now; changes made to it inside of `update` are shown too.
        lock: Held while the figure is written to; the panel's, where other threads write to the same widgets.
        label: What it shows, for screen readers.
    """

    _esm = STATIC / "figure.js"
    item = traitlets.Unicode().tag(sync=True)
    label = traitlets.Unicode().tag(sync=True)
    height = traitlets.Int(help="Pixels that a page keeps free until the figure is there.").tag(sync=True)
    changed = traitlets.Dict().tag(sync=True)
    follows = traitlets.Dict(help="Model id to the attributes that a page tells of.").tag(sync=True)
    seen = traitlets.List(["", 0], help="Page and number of the last message that was worked off.").tag(sync=True)

    def __init__(self, figure: BokehFigure, lock: RLock | None = None, label: str = "") -> None:
        self.figure = figure
        _add_toolbar(figure)
        self._lock = lock or RLock()
        document = Document()
        document.add_root(figure)
        super().__init__(label=label, height=figure.height or 0)
        self._news: dict[str, dict[str, Any]] = {}
        self._followers: dict[str, _Follower] = {}
        document.on_change(self._note)
        self.on_msg(lambda _, message, __: self.receive(message) if "moved" in message else self.draw())

    def draw(self) -> None:
        """Make what a page needs to show the figure, unless it is there already."""
        with self._lock:
            self.item = self.item or json.dumps(json_item(self.figure))

    @contextmanager
    def update(self) -> Iterator[None]:
        """Send what changes in the figure's models inside of this block, in one message."""
        with self._lock:
            self._news = {}
            yield
            if self._news:
                merged = {key: {**self.changed.get(key, {}), **values} for key, values in self._news.items()}
                self.changed = {**self.changed, **merged}
                self.height = self.figure.height or 0

    def on_drag(self, model: Model, do: Callable[[dict[str, float]], Any], *attributes: str) -> None:
        """Call `do(values)` while a person moves an editable annotation; the model has the values by then.

        Args:
            model: Such as a `Span` or `BoxAnnotation` of the figure with `editable=True`.
            do: Called without the lock, on the thread that messages come on.
            attributes: Numbers of the model that count, such as "left" and "right".
        """
        self._follow(_Follower(model, attributes, do))

    def on_tap(self, renderer: GlyphRenderer, do: Callable[[int], Any]) -> None:
        """Call `do(row)` when a person taps a glyph; `row` is its place in the renderer's source."""
        renderer.nonselection_glyph = None
        tool = next((tool for tool in self.figure.tools if isinstance(tool, TapTool)), None)
        if tool is None:
            self.figure.add_tools(TapTool(renderers=[renderer]))
        else:
            tool.renderers = [*tool.renderers, renderer]
        self.item = ""  # a page that shows it already keeps its figure; the next one asks anew
        selected = renderer.data_source.selected
        self._follow(_Follower(selected, ("indices",), lambda values: do(int(values["indices"])), mirrored=False))

    def receive(self, message: Mapping[str, Any]) -> None:
        """Work off what a page sends: {"page": text, "number": n, "moved": {model id: {attribute: value}}}."""
        try:
            for key, values in message["moved"].items():
                if (follower := self._followers.get(key)) is not None:
                    self._take(follower, values)
        finally:
            with self._lock:
                self.seen = [message["page"], message["number"]]

    def _take(self, follower: _Follower, values: Mapping[str, Any]) -> None:
        moved = {name: values.get(name) for name in follower.attributes}
        if not follower.mirrored:
            moved = {name: (value or [None])[0] for name, value in moved.items()}
        if not all(isinstance(value, int | float) and math.isfinite(value) for value in moved.values()):
            return
        if follower.mirrored:
            with self.update():  # other pages show it too
                follower.model.update(**moved)
        follower.do(moved)

    def _follow(self, follower: _Follower) -> None:
        self._followers[follower.model.id] = follower
        self.follows = {**self.follows, follower.model.id: list(follower.attributes)}

    def _note(self, event: Any) -> None:
        model, attribute = getattr(event, "model", None), getattr(event, "attr", None)
        if model is not None and attribute is not None:
            self._news.setdefault(model.id, {})[attribute] = _plain(getattr(model, attribute))


def _add_toolbar(figure: BokehFigure) -> None:
    """Let people zoom, go back and save a picture; the buttons are seen under the pointer only, and take no room.

    Where the hand drags marks, they stand outside of the frame: inside they would take its movement away.
    """
    if any(isinstance(tool, SaveTool) for tool in figure.tools):
        return
    editable = any(isinstance(one, Annotation) and getattr(one, "editable", False) for one in figure.center)
    for tool in figure.tools:  # what is pointed at or tapped needs no button
        tool.visible = False
    figure.add_tools(BoxZoomTool(), ResetTool(), SaveTool())
    figure.toolbar.update(autohide=not editable, logo=None, active_drag=None)
    figure.update(toolbar_location="right", toolbar_inner=not editable)


def _plain(value: Any) -> Any:
    """Return a value that JSON can say: NaN is null there."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
