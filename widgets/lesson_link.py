"""A link to a notebook of the course: opened beside where there is a JupyterLab, shown as a page to read elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from widgets.figure import STATIC, script
from workbench.errors import WorkbenchError
from workbench.lessons.course import Lesson, find_notebook
from workbench.lessons.page import lesson_page


class LessonLink(anywidget.AnyWidget):
    """A link to a lesson, or to the panel's notebook.

    A page in JupyterLab knows the folder of its server and opens the notebook there. Elsewhere, and where the notebook
    lies outside of that folder, the page asks for the lesson as HTML.

    Args:
        label: What people read.
        lesson: Which; None for the panel's notebook.
    """

    _esm = script("part.js", "lesson_link.js")
    _css = STATIC / "lesson_link.css"
    label = traitlets.Unicode().tag(sync=True)
    path = traitlets.Unicode(help="Of the notebook, absolute; empty where there is none.").tag(sync=True)
    home = traitlets.Unicode(help="What a server calls ~.").tag(sync=True)
    readable = traitlets.Bool(help="Whether there is a page of it to read.").tag(sync=True)

    def __init__(self, label: str, lesson: Lesson | None) -> None:
        name = "workbench" if lesson is None else lesson.name
        found = find_notebook(name, Path.cwd())
        self._lesson, self._path = lesson, found
        super().__init__(
            label=label,
            path="" if found is None else found.as_posix(),
            home=Path.home().as_posix(),
            readable=lesson is not None and found is not None,
        )
        self.on_msg(lambda _, message, __: self.receive(message))

    def receive(self, message: Mapping[str, Any]) -> None:
        """Send the lesson as a page to whoever asks for it: {"read": true}."""
        if not message.get("read") or self._lesson is None or self._path is None:
            return
        try:
            page = lesson_page(self._lesson, self._path)
        except WorkbenchError as error:
            self.send({"failed": str(error)})
        else:
            self.send({"page": page})
