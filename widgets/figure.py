"""Bokeh figures in the panel, without storing BokehJS in the notebook.

BokehJS travels once as the state of a widget, from the installed package, and so is in no cell's output. A
figure is sent once; afterwards only what changed in its models is, as state and not as messages, so that a
second tab or a reloaded page shows what the first does.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import anywidget
import traitlets
from bokeh.document import Document
from bokeh.embed import json_item
from bokeh.plotting import figure as BokehFigure  # the class is spelt like a function
from bokeh.resources import Resources

STATIC = Path(__file__).parent / "static"


@cache
def _script() -> str:
    return "\n".join(Resources(mode="inline", components=["bokeh"]).js_raw)


class BokehJS(anywidget.AnyWidget):
    """Loads BokehJS into the page; has no look of its own."""

    _esm = STATIC / "bokeh.js"
    source = traitlets.Unicode().tag(sync=True)

    def __init__(self) -> None:
        super().__init__(source=_script())


class Figure(anywidget.AnyWidget):
    """One Bokeh figure.

    Args:
        figure: Shown as it is now; changes made to it inside of `update` are shown too.
    """

    _esm = STATIC / "figure.js"
    item = traitlets.Unicode().tag(sync=True)
    changed = traitlets.Dict().tag(sync=True)

    def __init__(self, figure: BokehFigure) -> None:
        self.figure = figure
        document = Document()
        document.add_root(figure)
        super().__init__(item=json.dumps(json_item(figure)))
        self._news: dict[str, dict[str, Any]] = {}
        document.on_change(self._note)

    @contextmanager
    def update(self) -> Iterator[None]:
        """Send what changes in the figure's models inside of this block, in one message."""
        self._news = {}
        yield
        if self._news:
            merged = {key: {**self.changed.get(key, {}), **values} for key, values in self._news.items()}
            self.changed = {**self.changed, **merged}

    def _note(self, event: Any) -> None:
        model, attribute = getattr(event, "model", None), getattr(event, "attr", None)
        if model is not None and attribute is not None:
            self._news.setdefault(model.id, {})[attribute] = _plain(getattr(model, attribute))


def _plain(value: Any) -> Any:
    """Return a value that JSON can say: NaN is null there."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
