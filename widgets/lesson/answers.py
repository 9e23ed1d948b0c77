"""What a learner predicted, kept beside the notebook so that a kernel that starts anew does not ask again."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from workbench.checkpoint.files import keep

FOLDER = Path(".workbench") / "lessons"


class Answers:
    """Answers to the questions of one lesson, in a small file. A convenience: where it cannot be kept, nothing stops.

    Args:
        name: Of the lesson.
        folder: Where the file is.
    """

    def __init__(self, name: str, folder: Path = FOLDER) -> None:
        self.path = folder / f"{name}.json"
        self._held: dict[str, Any] = {}
        with contextlib.suppress(OSError, ValueError):
            held = json.loads(self.path.read_text(encoding="utf-8"))
            self._held = held if isinstance(held, dict) else {}

    def get(self, question: str) -> Any:
        """Return what was said to a question, None for nothing."""
        return self._held.get(question)

    def keep(self, question: str, answer: Any) -> None:
        """Keep what is said to a question; None forgets it."""
        self._held = {**self._held, question: answer}
        if answer is None:
            del self._held[question]
        text = json.dumps(self._held)
        with contextlib.suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            keep(self.path, lambda path: path.write_text(text, encoding="utf-8"))
