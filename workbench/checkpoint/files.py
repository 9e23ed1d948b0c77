"""Files that appear whole or not at all, and caches that stop nothing when they cannot be written."""

from __future__ import annotations

import hashlib
import logging
import os
import platform
import re
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

PART = ".part"
OLD_SECONDS = 24 * 3600.0  # after which half a file belongs to nobody who still writes it
OWNER = re.compile(rf"\.(?P<host>[0-9a-f]{{8}})-(?P<pid>\d+)-[0-9a-f]{{32}}{re.escape(PART)}$")
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
    half = path.with_name(f"{path.name}.{_host()}-{os.getpid()}-{uuid.uuid4().hex}{PART}")
    try:
        write(half)
        half.replace(path)
    except BaseException:
        with suppress(OSError):
            half.unlink(missing_ok=True)
        raise


class _Untold:
    """A file that goes on taking bytes after one could not be written, and remembers why."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        if self.error is None:
            try:
                self._file.write(data)
            except OSError as error:
                self.error = error
        return memoryview(data).nbytes

    def flush(self) -> None:
        """Leave that to the end."""


@contextmanager
def open_for_torch(path: Path) -> Iterator[_Untold]:
    """Open a file for torch to write to, which fails as files of Python do.

    Torch's archive writer makes a `RuntimeError` of a full disk, and in some places ends the whole process. So it is
    not told, and the error is raised at the end of the block.

    Raises:
        OSError: Something could not be written.
    """
    with path.open("wb") as file:
        untold = _Untold(file)
        yield untold
        if untold.error is not None:
            raise untold.error


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
    """Remove what ended processes left half written in a folder and those in it.

    Args:
        folder: Where to look.
        older_than: Seconds after which half a file goes whoever wrote it: of a process elsewhere nothing is known.
    """
    with suppress(OSError):
        for half in folder.rglob(f"*{PART}"):
            with suppress(OSError):
                if _ended(half.name) or time.time() - half.stat().st_mtime > older_than:
                    half.unlink()


def _host() -> str:
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


def _ended(name: str) -> bool:
    """Return whether the process that wrote a half ran on this machine and is known to have ended."""
    match = OWNER.search(name)
    if match is None or match["host"] != _host() or sys.platform == "win32":  # there, asking for a process may end it
        return False
    try:
        os.kill(int(match["pid"]), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):  # of somebody else; a number that is none
        return False
    return False
