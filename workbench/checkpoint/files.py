"""Files that appear whole or not at all, and caches that stop nothing when they cannot be written."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

PART = ".part"
OLD_SECONDS = 24 * 3600.0  # after which half a file belongs to nobody who still writes it
_told: set[Path] = set()


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file beside its place and rename it; a crash in the middle leaves what was there before.

    Args:
        path: Where it is to be; its folder is made.
        write: Writes to the path that it is given.

    Raises:
        OSError: It cannot be written; no half of it is left.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Several sessions, threads and machines may write to one folder.
    half = path.with_name(f"{path.name}.{uuid.uuid4().hex}{PART}")
    try:
        write(half)
        half.replace(path)
    except BaseException:
        with suppress(OSError):
            half.unlink(missing_ok=True)
        raise


def keep(path: Path, write: Callable[[Path], object]) -> bool:
    """Write a file that is kept for convenience, and return whether it could be.

    A full or read-only disk is told once a folder, in the log, and stops nothing.
    """
    try:
        write_whole(path, write)
    except OSError as error:
        if path.parent not in _told:
            _told.add(path.parent)
            logging.getLogger(__name__).warning("nothing is kept in %s: %s", path.parent, error)
        return False
    return True


def remove_halves(folder: Path, older_than: float = OLD_SECONDS) -> None:
    """Remove what killed processes left half written in a folder, if it has lain there for so many seconds."""
    with suppress(OSError):
        for half in folder.glob(f"*{PART}"):
            with suppress(OSError):
                if time.time() - half.stat().st_mtime > older_than:
                    half.unlink()
