"""Keys of the panel: Ctrl+Enter applies, Escape takes back, Ctrl+Z and Ctrl+Shift+Z go through the history."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import anywidget

from widgets.figure import STATIC


class Keys(anywidget.AnyWidget):
    """Hears keys while the focus is inside of the panel; has no look of its own.

    Args:
        acts: What is done for "apply", "back", "undo" and "redo".
    """

    _esm = STATIC / "keys.js"

    def __init__(self, acts: Mapping[str, Callable[[], Any]]) -> None:
        super().__init__()
        self._acts = dict(acts)
        self.on_msg(lambda _, message, __: self.receive(message))

    def receive(self, message: Mapping[str, Any]) -> None:
        """Work off what a page sends: {"act": name}; other names are nobody's."""
        if (act := self._acts.get(str(message.get("act")))) is not None:
            act()
