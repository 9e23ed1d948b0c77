"""The record of a state as plain JSON: every number of a report and of an exported folder's card is in it."""

from __future__ import annotations

import base64
import json
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.checkpoint.facts import read_json
from workbench.errors import WorkbenchError, within

FORMAT, VERSION = "workbench report", 2
READ = (1, 2)
Record = Mapping[str, Any]


def write(record: Record, path: Path) -> None:
    """Write a record as JSON."""
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the record of a JSON file.

    Raises:
        WorkbenchError: It cannot be read, or is none.
    """
    with within("a report's record"):
        return _checked(read_json(Path(path)))


def pack(record: Record) -> str:
    """Return a record as text that can stand in a notebook's cell."""
    return base64.b85encode(zlib.compress(json.dumps(record).encode(), 9)).decode()


def unpack(text: str) -> dict[str, Any]:
    """Return the record of `pack`.

    Raises:
        WorkbenchError: The text is damaged.
    """
    try:
        return _checked(json.loads(zlib.decompress(base64.b85decode("".join(text.split())))))
    except (ValueError, zlib.error) as error:
        raise WorkbenchError(f"the record in this notebook is damaged: {error}") from error


def _checked(record: Any) -> dict[str, Any]:
    if not isinstance(record, dict) or record.get("format") != FORMAT or record.get("version") not in READ:
        raise WorkbenchError(f'this is no record of a report: it must say "format": "{FORMAT}", "version": {VERSION}')
    return record
