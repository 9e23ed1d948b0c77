"""Tables of samples with named columns: files of text, and whatever has the interface of `datasets.Dataset`."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from workbench.checkpoint.reading import open_file
from workbench.errors import WorkbenchError, first_line, shown

SUFFIXES = (".csv", ".tsv", ".jsonl")
MOST_BYTES = 4 << 30  # of a file once it is unpacked
csv.field_size_limit(1 << 24)


class Table:
    """Rows with named columns.

    Args:
        rows: Each a dict with the same keys.
        name: What a message calls it.
    """

    def __init__(self, rows: Sequence[Mapping[str, Any]], name: str = "the table") -> None:
        if len(rows) == 0:
            raise WorkbenchError(f"{name} is empty; at least one row is needed")
        self.rows, self.name = rows, name
        self.columns = tuple(str(column) for column in rows[0])

    def __len__(self) -> int:
        return len(self.rows)

    def column(self, *names: str) -> list[Any]:
        """Return the values of the first of these columns that there is.

        Raises:
            WorkbenchError: There is none of them.
        """
        chosen = next((name for name in names if name in self.columns), None)
        if chosen is None:
            wanted = " or ".join(repr(name) for name in names)
            raise WorkbenchError(f"{self.name} has no column {wanted}; it has {shown(', '.join(self.columns), 200)}")
        try:
            return [row[chosen] for row in self.rows]
        except (KeyError, TypeError) as error:
            raise WorkbenchError(f"{self.name}: a row lacks {chosen!r}") from error


def is_table(data: Any) -> bool:
    """Return whether data is a table: a path to one, rows as dicts, or what `datasets` gives."""
    if isinstance(data, str | Path):
        return _suffix(Path(data)) in SUFFIXES
    if isinstance(data, list):
        return bool(data) and isinstance(data[0], dict)
    return isinstance(data, Table) or hasattr(data, "column_names")


def table_of(data: Any) -> Table:
    """Return data as a table.

    Raises:
        WorkbenchError: It is empty, or a file that cannot be read.
    """
    if isinstance(data, Table):
        return data
    if isinstance(data, str | Path):
        return read_table(Path(data))
    return Table(data)


def read_table(path: Path) -> Table:
    """Return a .csv, .tsv (first line: names of the columns) or .jsonl file, or one of these packed as .gz.

    Raises:
        WorkbenchError: It is missing, no such file, or its lines do not fit its columns.
    """
    try:
        with open_file(path) as stream:
            text = _unpacked(path, stream)
        if _suffix(path) == ".jsonl":
            rows = [json.loads(line) for line in text.splitlines() if line.strip()]
        else:
            delimiter = "\t" if _suffix(path) == ".tsv" else ","
            rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except WorkbenchError:
        raise
    except (OSError, EOFError, ValueError, csv.Error, RecursionError) as error:
        raise WorkbenchError(f"{path} cannot be read as a table: {shown(first_line(error), 200)}") from error
    if not all(isinstance(row, dict) and row.keys() == rows[0].keys() for row in rows):
        raise WorkbenchError(f"{path} is no table: its rows have different columns")
    if any(None in row or None in row.values() for row in rows) and _suffix(path) != ".jsonl":
        raise WorkbenchError(f"{path} is no table: a line has more or fewer values than the first one names")
    return Table(rows, str(path))


def _unpacked(path: Path, stream: Any) -> str:
    if path.suffix.lower() == ".gz":
        stream = gzip.GzipFile(fileobj=stream)
    data: bytes = stream.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise WorkbenchError(f"{path} holds more than {MOST_BYTES >> 30} GiB of text")
    return data.decode("utf-8-sig")


def _suffix(path: Path) -> str:
    return Path(path.stem).suffix.lower() if path.suffix.lower() == ".gz" else path.suffix.lower()
