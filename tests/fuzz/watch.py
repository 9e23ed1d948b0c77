"""What may not happen while somebody else's file is read, told by Python's audit events."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
FORBIDDEN = (
    "exec", "compile", "import", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.remove",
    "os.rename",
    "os.mkdir", "os.putenv", "os.chmod", "os.truncate", "subprocess.Popen", "ctypes.", "socket.", "pickle.find_class",
    "marshal.load", "shutil.", "code.__new__", "function.__new__", "sys.settrace", "urllib.", "webbrowser.",
)  # fmt: skip

_seen: list[str] | None = None


def _hook(event: str, given: tuple[Any, ...]) -> None:
    if _seen is None:
        return
    if event == "open":
        path, mode, flags = given
        writes = any(sign in mode for sign in "wax+") if isinstance(mode, str) else bool((flags or 0) & WRITING)
        if writes:
            _seen.append(f"open {path!r} for writing")
    elif event.startswith(FORBIDDEN):
        _seen.append(f"{event} {str(given)[:200]}")


@contextmanager
def watched() -> Iterator[list[str]]:
    """Collect what happened inside of this block and should not have."""
    global _seen  # a hook stays for as long as the process lives
    if not _hook_is_there:
        _hook_is_there.append(True)
        sys.addaudithook(_hook)
    _seen = found = []
    try:
        yield found
    finally:
        _seen = None


_hook_is_there: list[bool] = []
