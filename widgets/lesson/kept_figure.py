"""A figure of a lesson that is still seen where there is no kernel: as the picture that a page once drew."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from typing import Any
from uuid import uuid4

import traitlets
from bokeh.plotting import figure as BokehFigure  # the class is spelt like a function
from IPython.display import HTML, display, update_display

from widgets.figure import Figure

PICTURE = re.compile(r"data:image/png;base64,[A-Za-z0-9+/=]+")
LARGEST = 1 << 20


class KeptFigure(Figure):
    """A figure with an output beside it that holds its picture, hidden while the figure itself lives there.

    Bokeh draws in the page, so the picture is what the first page sends that shows it; without a page there is none.
    """

    pictured = traitlets.Bool(True, help="Whether a page sends the picture of what it drew.").tag(sync=True)

    def __init__(self, figure: BokehFigure, label: str = "") -> None:
        self._key, self._words = uuid4().hex, label
        super().__init__(figure, label=label)
        self.on_msg(lambda _, message, __: self.keep(message) if "picture" in message else None)

    def show(self) -> None:
        """Put it into the running cell's output, with room for its picture beside it."""
        display(self)
        display(HTML(self._still("")), display_id=self._key)

    def keep(self, message: Mapping[str, Any]) -> None:
        """Take what a page sends: {"picture": a PNG as a data URL}."""
        picture = message["picture"]
        if isinstance(picture, str) and len(picture) <= LARGEST and PICTURE.fullmatch(picture):
            shown = f"<img alt='{escape(self._words, quote=True)}' src='{picture}'>"
            update_display(HTML(self._still(shown)), display_id=self._key)

    def _still(self, inside: str) -> str:
        return f"<div class='wbl-still'>{inside}</div>"
