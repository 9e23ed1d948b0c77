"""Keys, words and the tour; nothing of them needs the kernel."""

from __future__ import annotations

import anywidget

from widgets.figure import script


class Guide(anywidget.AnyWidget):
    """A button that opens the help, and the tour for who is here for the first time."""

    _esm = script("part.js", "guide.js")
