"""What lies on the disk for convenience, and what killed processes left there: told with sizes, and removed.

Under `.workbench` each subject has a folder: `session-*.json` are sessions to restore, `scans/` holds scores of scans,
`training/` holds where trainings were cut short, `search/` what searches looked at. Beside exports and reports lie,
only while these are written, `.NAME.half-…`, `.NAME.before-…` and `.NAME.lock`. Exports and reports themselves are
never touched.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from workbench.checkpoint.files import PART, remove_halves
from workbench.checkpoint.folders import BEFORE, HALF, LOCK, NAME, recover
from workbench.checkpoint.lock import locked
from workbench.errors import WorkbenchError, first_line

HOME = ".workbench"
SCANS, TRAINING, SESSIONS = "scores of scans", "trainings that were cut short", "sessions"
SEARCHES = "journals of searches"
LEFT = "left by killed processes"
PATTERNS = {
    SCANS: "*/scans/*/*.json",
    TRAINING: "*/training/*.pt",
    SEARCHES: "*/search/*/journal.*",
    SESSIONS: "*/session-*.json",
}


@dataclass(frozen=True)
class Removable:
    """A file or folder that can go.

    Attributes:
        what: One of `SCANS`, `TRAINING`, `SEARCHES`, `SESSIONS`, `LEFT`.
        path: Where it lies.
        bytes: What it takes.
    """

    what: str
    path: Path
    bytes: int


def removable(folder: Path, older_than: float, sessions: bool = False) -> list[Removable]:
    """Return what can go from a folder in which the workbench was used.

    Args:
        folder: With `.workbench` in it, or with exports and reports.
        older_than: Seconds for which a file must not have been written to; what is younger may be in use.
        sessions: Whether sessions go too, which are work and no convenience.
    """
    home = folder / HOME
    listed = [
        Removable(what, path, _bytes(path))
        for what, pattern in PATTERNS.items()
        if sessions or what != SESSIONS
        for path in sorted(home.glob(pattern))
    ]
    halves = sorted(home.rglob(f"*{PART}"))
    listed += [Removable(LEFT, path, _bytes(path)) for path in (*halves, *_beside(folder))]
    return [file for file in listed if _age(file.path) >= older_than or _stranded(file.path)]


def remove(folder: Path, chosen: list[Removable]) -> int:
    """Remove what `removable` returned for a folder, and return how many bytes went.

    An export that was being replaced when its process was killed is put back. What is being written stays.

    Raises:
        WorkbenchError: Something cannot be removed; it says what.
    """
    for file in chosen:
        try:
            if file.path.parent != folder:
                file.path.unlink(missing_ok=True)
        except OSError as error:
            raise WorkbenchError(f"{file.path} cannot be removed: {first_line(error)}") from error
    for name in sorted({name for file in chosen if (name := _owner(file.path)) and file.path.parent == folder}):
        with suppress(WorkbenchError), locked(folder / f".{name}.{LOCK}", name) as sole:
            if sole:
                recover(folder / name, 0.0)
    remove_halves(folder / HOME)
    for empty in sorted((folder / HOME).glob("*/scans/*")):
        with suppress(OSError):  # it is not empty
            empty.rmdir()
    return sum(file.bytes for file in chosen if not file.path.exists())


def _beside(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from (path for path in sorted(folder.iterdir()) if _owner(path) is not None)


def _stranded(path: Path) -> bool:
    """Return whether this is an earlier export that should be back in its place, however young it is."""
    match = NAME.fullmatch(path.name)
    return bool(match and match["what"] == BEFORE and not (path.parent / match["name"]).exists())


def _owner(path: Path) -> str | None:
    """Return the export or report that a name beside it belongs to, None if it is no such name."""
    match = NAME.fullmatch(path.name)
    if match and match["what"] in (HALF, BEFORE):
        return match["name"]
    lock = path.name.startswith(".") and path.name.endswith(f".{LOCK}") and path.is_file() and not path.stat().st_size
    return path.name[1 : -len(LOCK) - 1] if lock else None


def _bytes(path: Path) -> int:
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            return sum(inner.lstat().st_size for inner in path.rglob("*") if not inner.is_dir())
        return path.lstat().st_size
    return 0


def _age(path: Path) -> float:
    with suppress(OSError):
        return time.time() - path.lstat().st_mtime
    return 0.0


def total(chosen: list[Removable]) -> dict[str, tuple[int, int]]:
    """Return for each kind how many files there are, and how many bytes they take."""
    kinds = dict.fromkeys(file.what for file in chosen)
    return {
        kind: (sum(file.what == kind for file in chosen), sum(file.bytes for file in chosen if file.what == kind))
        for kind in kinds
    }
