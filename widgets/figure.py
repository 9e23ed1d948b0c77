"""Bokeh figures in the panel, without storing BokehJS in the notebook.

BokehJS travels once as the state of a widget, from the installed package, and so is in no cell's output. A
figure is sent once; afterwards only its columns and properties are, as state and not as messages, so that a
second tab or a reloaded page shows what the first does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import anywidget
import traitlets
from bokeh.embed import json_item
from bokeh.model import Model
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
        figure: Shown as it is; its sources and annotations are found by their `name`.
    """

    _esm = STATIC / "figure.js"
    item = traitlets.Unicode().tag(sync=True)
    data = traitlets.Dict().tag(sync=True)
    props = traitlets.Dict().tag(sync=True)

    def __init__(self, figure: Model) -> None:
        super().__init__(item=_item(figure))

    def show(self, figure: Model) -> None:
        """Show another figure in its place."""
        with self.hold_sync():
            self.data, self.props = {}, {}
            self.item = _item(figure)

    def feed(self, data: Mapping[str, Mapping[str, Any]], props: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        """Give sources (by name) new columns, and other models new properties."""
        plain = {name: {key: _plain(column) for key, column in columns.items()} for name, columns in data.items()}
        with self.hold_sync():
            self.data = {**self.data, **plain}
            if props:
                self.props = {**self.props, **{name: dict(values) for name, values in props.items()}}


def _item(figure: Model) -> str:
    return json.dumps(json_item(figure))


def _plain(column: Any) -> list[Any]:
    return list(column.tolist() if hasattr(column, "tolist") else column)
