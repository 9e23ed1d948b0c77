"""Keys, words and the tour; nothing of them needs the kernel."""

from __future__ import annotations

import anywidget

from widgets.figure import STATIC


class Guide(anywidget.AnyWidget):
    """A button that opens the help, and the tour for who is here for the first time."""

    _esm = STATIC / "guide.js"
