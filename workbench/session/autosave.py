"""The session's file: written whole or not at all."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from workbench.checkpoint.files import remove_halves, write_whole
from workbench.model.subject import Subject


def clean(name: str) -> str:
    """Return a name that is safe as a file's: letters, digits, dot, dash and underscore."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-")[:60] or "model"


class Autosave:
    """Keeps one session on disk.

    Each session has its own file, so that a new one never overwrites what an earlier one can still give back.

    Args:
        root: Where sessions are kept.
        subject: What the session is on; its name and fingerprint choose the folder.
    """

    def __init__(self, root: Path, subject: Subject) -> None:
        self.folder = root / f"{clean(subject.name)}-{subject.fingerprint}"
        self.path = self.folder / f"session-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}-{id(self):x}.json"
        remove_halves(self.folder)

    def write(self, facts: Mapping[str, Any]) -> None:
        """Write the session; a crash in the middle leaves what was there before."""
        text = json.dumps(facts)
        write_whole(self.path, lambda half: half.write_text(text, encoding="utf-8"))

    def earlier(self) -> tuple[Path, ...]:
        """Return the files of other sessions on the same subject, the newest first."""
        dated = []
        with suppress(OSError):  # a folder that cannot be read holds nothing for us
            for path in self.folder.glob("session-*.json"):
                with suppress(FileNotFoundError):  # somebody cleans up meanwhile
                    dated.append((path.stat().st_mtime, path))
        return tuple(path for _, path in sorted(dated, key=lambda one: one[0], reverse=True) if path != self.path)
