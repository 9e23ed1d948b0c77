"""Something that is folded away until it is asked for, by mouse or by keyboard."""

from __future__ import annotations

import ipywidgets as W


class Fold(W.VBox):
    """A button and what it shows.

    Args:
        title: Stands on the button.
        inside: What is folded away.
    """

    def __init__(self, title: str, inside: W.Widget) -> None:
        self.button = W.ToggleButton(
            description=title, icon="caret-right", tooltip=f"Show or hide: {title}", layout={"width": "auto"}
        )
        self.inside = inside
        super().__init__([self.button, inside])
        self.add_class("wb-fold")
        self.button.observe(lambda _: self._show(), "value")
        self._show()

    @property
    def unfolded(self) -> bool:
        """Whether the inside is shown."""
        return bool(self.button.value)

    def _show(self) -> None:
        self.button.icon = "caret-down" if self.unfolded else "caret-right"
        self.inside.layout.display = "" if self.unfolded else "none"
