"""A folder that is replaced whole: an earlier one is there until the new one is, whatever happens between.

What is being written and what is being replaced lie beside the folder, as `.NAME.half-…` and `.NAME.before-…`. A
process that is killed leaves them; the next one that writes there puts the earlier folder back if none is in its
place, and removes the rest.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from workbench.checkpoint.files import OLD_SECONDS
from workbench.checkpoint.lock import locked

HALF, BEFORE, LOCK = "half", "before", "lock"
NAME = re.compile(rf"\.(?P<name>.+)\.(?P<what>{HALF}|{BEFORE})-[0-9a-f]{{32}}")


@contextmanager
def replaced(folder: Path, check: Callable[[Path], None]) -> Iterator[Path]:
    """Give an empty folder to write into, which takes the place of `folder` at the end of the block.

    If anything is raised in it or afterwards, `folder` is what it was and nothing is left beside it.

    Args:
        folder: Where it is to be; folders above it are made, and a link is followed.
        check: Raises an error if what is there may not be replaced.

    Raises:
        WorkbenchError: Another process is writing to the same place.
        OSError: Nothing can be written or renamed there.
    """
    with half_beside(folder) as half:
        folder = _real(folder)
        check(folder)
        yield half
        _put(half, folder)


@contextmanager
def half_beside(place: Path) -> Iterator[Path]:
    """Give an empty folder beside a place, for what is to be renamed there; it is gone at the end of the block.

    What killed processes left there is mended before. Errors as in `replaced`.
    """
    place = _real(place)
    place.parent.mkdir(parents=True, exist_ok=True)
    with locked(place.with_name(f".{place.name}.{LOCK}"), str(place)) as sole:
        recover(place, 0.0 if sole else OLD_SECONDS)
        half = _beside(place, HALF)
        half.mkdir()
        try:
            yield half
        finally:
            shutil.rmtree(half, ignore_errors=True)


def recover(folder: Path, older_than: float = OLD_SECONDS) -> None:
    """Put an earlier folder back where a killed process left none, and remove what else it left, if it is so old.

    Args:
        folder: The place.
        older_than: Seconds that a folder must have lain there to be removed; 0 only for whoever holds the lock.
    """
    earlier = sorted(left_over(folder, BEFORE), key=_seconds)
    if earlier and not os.path.lexists(folder):
        earlier.pop(0).rename(folder)
    for path in (*earlier, *left_over(folder, HALF)):
        if _seconds(path) >= older_than:
            _remove(path, folder)


def left_over(folder: Path, what: str) -> list[Path]:
    """Return the folders beside one that killed processes left, or that are being written: `HALF` or `BEFORE` ones."""
    try:
        matches = [(path, NAME.fullmatch(path.name)) for path in folder.parent.iterdir()]
    except (OSError, ValueError):  # not there, not to be read, no path at all
        return []
    return [path for path, match in matches if match and (match["name"], match["what"]) == (folder.name, what)]


def check_place(place: Path) -> None:
    """Raise an error if nothing could be put at a place, as far as that shows before there is anything to put.

    Raises:
        OSError: The place, or the first folder above it that is there, cannot be written to.
    """
    place = _real(place)
    with suppress(FileNotFoundError):
        _beside(place, BEFORE).lstat()  # the longest name that is used: it may be too long
    above = next(path for path in place.parents if os.path.lexists(path))
    trial = above / f".{uuid.uuid4().hex}"
    trial.mkdir()
    trial.rmdir()


def _put(half: Path, folder: Path) -> None:
    before = _beside(folder, BEFORE)
    try:
        if os.path.lexists(folder):
            folder.rename(before)
        half.rename(folder)
    except BaseException:
        if before.exists() and not os.path.lexists(folder):
            before.rename(folder)
        raise
    if before.exists():
        _remove(before, folder)


def _remove(path: Path, folder: Path) -> None:
    """Remove a folder; one that is half removed must not look like an earlier one that could be put back."""
    with suppress(OSError):
        path = path.rename(_beside(folder, HALF))
    shutil.rmtree(path, ignore_errors=True)


def _beside(folder: Path, what: str) -> Path:
    return folder.with_name(f".{folder.name}.{what}-{uuid.uuid4().hex}")


def _real(place: Path) -> Path:
    if "\0" in str(place):
        raise OSError(errno.EINVAL, "a path holds no zero byte")
    return Path(os.path.realpath(place))


def _seconds(path: Path) -> float:
    """Return for how long nothing was written into a folder."""
    with suppress(OSError):
        return time.time() - path.stat().st_mtime
    return 0.0
