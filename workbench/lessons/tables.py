"""Tables of what learners reached, as CSV."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from dataclasses import astuple, fields
from pathlib import Path
from typing import Any

from workbench.errors import WorkbenchError

# A spreadsheet takes text that begins like this for a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def check_writable(path: Path) -> None:
    """Refuse a table that could not be written, before the hours of grading for it.

    Raises:
        WorkbenchError: Its folder is not there, it is a folder itself, or it may not be written.
    """
    if not path.parent.is_dir():
        raise WorkbenchError(f"{path} cannot be written: there is no folder {path.parent}")
    if path.is_dir():
        raise WorkbenchError(f"{path} cannot be written: it is a folder")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise WorkbenchError(f"{path} cannot be written: permission denied")


def write_table(path: Path, kind: type[Any], held: Sequence[Any]) -> None:
    """Write rows as CSV.

    Args:
        path: Where to.
        kind: The dataclass that a row is; its fields are the heads.
        held: The rows.

    Raises:
        WorkbenchError: The file cannot be written.
    """
    try:
        with path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
            rows = csv.writer(file)
            rows.writerow([field.name for field in fields(kind)])
            for one in held:
                rows.writerow([f"'{v}" if isinstance(v, str) and v.startswith(FORMULA) else v for v in astuple(one)])
    except OSError as error:
        raise WorkbenchError(f"{path} cannot be written: {error.strerror}") from None
