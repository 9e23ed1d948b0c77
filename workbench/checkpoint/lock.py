"""One writer at a time: a file that the system unlocks when its process ends, however it ends."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from workbench.errors import WorkbenchError

# What a file system says that knows no locks, such as some network drives.
UNKNOWN = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}

if sys.platform == "win32":
    import msvcrt

    def _lock(number: int) -> None:
        msvcrt.locking(number, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(number: int) -> None:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def locked(path: Path, what: str) -> Iterator[bool]:
    """Hold the lock of a file, which is there only meanwhile; give whether it is certain that nobody else does.

    Args:
        path: The file; one that a killed process left is taken over.
        what: What is being written, for the error.

    Raises:
        WorkbenchError: Somebody else holds it.
        OSError: The file cannot be made.
    """
    number, sole = _taken(path, what)
    try:
        yield sole
    finally:
        # Removed while it is locked: whoever opened it meanwhile sees that the name means another file by now.
        with suppress(OSError):
            path.unlink()
        os.close(number)


def _taken(path: Path, what: str) -> tuple[int, bool]:
    while True:
        number = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _lock(number)
            if _same(path, number):
                return number, True
        except OSError as error:
            if error.errno in UNKNOWN:
                return number, False
            os.close(number)
            raise WorkbenchError(f"{what} is being written by somebody else at this moment") from error
        os.close(number)


def _same(path: Path, number: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(number))
    except FileNotFoundError:
        return False
