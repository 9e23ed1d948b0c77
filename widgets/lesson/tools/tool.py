"""What all tools have: a title, controls, a figure or table, and a row of numbers that follow from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import ipywidgets as W


class Tool(W.VBox):
    """A tool.

    Args:
        title: What it is.
        children: Controls and figures, in order; the numbers come last.
        label: Of its kind, in small letters above.
    """

    def __init__(self, title: str, children: Sequence[W.Widget], label: str = "Try it") -> None:
        head = W.HTML(f"<div class='wbl-label'>{escape(label)}</div><div class='wbl-title'>{escape(title)}</div>")
        self.read = W.HTML()
        self._title = title
        super().__init__([head, *children, self.read])
        self.add_class("wbl-tool")

    def tell(self, numbers: Mapping[str, str]) -> None:
        """Show numbers by their names."""
        shown = "".join(
            f"<div><span>{escape(name)}</span><b>{escape(said)}</b></div>" for name, said in numbers.items()
        )
        self.read.value = f"<div class='wbl-read' role='status'>{shown}</div>"
        self._numbers = dict(numbers)

    def still(self) -> str:
        """Return it as HTML that needs neither script nor style."""
        rows = "".join(
            f"<tr><th>{escape(name)}</th><td>{escape(said)}</td></tr>" for name, said in self._numbers.items()
        )
        return f"<p><b>{escape(self._title)}</b></p><table>{rows}</table>"


def slider(name: str, value: int, low: int, high: int) -> W.IntSlider:
    """Return a slider of whole numbers in the house's form."""
    return W.IntSlider(value=value, min=low, max=high, description=name, style={"description_width": "auto"})
