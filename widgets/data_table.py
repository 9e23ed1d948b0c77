"""A table of texts in the page: sorted by its headers, saved as CSV."""

from __future__ import annotations

from collections.abc import Sequence

import anywidget
import traitlets

from widgets.figure import script


class DataTable(anywidget.AnyWidget):
    """Rows under heads; nothing is shown while there are none.

    Args:
        name: What it shows, which names the CSV file too.
    """

    _esm = script("part.js", "csv.js", "data_table.js")
    name = traitlets.Unicode().tag(sync=True)
    heads: traitlets.List[str] = traitlets.List().tag(sync=True)
    rows: traitlets.List[list[str]] = traitlets.List().tag(sync=True)
    strong: traitlets.List[bool] = traitlets.List(help="Whether a row stands out.").tag(sync=True)
    hint = traitlets.Unicode(help="What is said below, or instead of no rows.").tag(sync=True)

    def __init__(self, name: str) -> None:
        super().__init__(name=name)

    def show(
        self, heads: Sequence[str], rows: Sequence[Sequence[str]], strong: Sequence[bool] = (), hint: str = ""
    ) -> None:
        """Show other rows; the first of each names it."""
        with self.hold_sync():
            self.heads, self.rows = list(heads), [list(row) for row in rows]
            self.strong, self.hint = list(strong), hint
