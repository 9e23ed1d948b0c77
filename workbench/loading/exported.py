"""A folder that `export` wrote, opened without the model's source.

It may come from anybody: nothing in it is run, and nothing is opened, unpacked or allocated before it is known to be
small enough. Checksums tell of accidents; whoever changes a file can make them anew.
"""

from __future__ import annotations

import hashlib
import json
from io import BufferedReader
from pathlib import Path
from typing import Any

from workbench.checkpoint.checkpoint import read
from workbench.checkpoint.reading import open_plain, read_packed, read_plain
from workbench.errors import WorkbenchError, within
from workbench.graph.reader import read_program, text_limit
from workbench.graph.walk import canonical_names
from workbench.loading.named import CHECKSUMS, is_exported
from workbench.loading.source import Loaded, Source

WEIGHTS, PROGRAM, RECORD = "model.safetensors", "program.json.gz", "measurement.json"

LIST_BYTES, RECORD_BYTES = 1 << 20, 2 << 20
FILES = 1000


def get(text: str, pretrained: bool) -> Loaded:
    """Return the model of an exported folder.

    Raises:
        WorkbenchError: A file is missing, or is not what was exported.
    """
    folder = Path(text)
    check(folder)
    values, codings = read(folder / WEIGHTS)
    graph = read_packed(folder, PROGRAM, text_limit((folder / WEIGHTS).stat().st_size))
    with within(str(folder / PROGRAM)):
        program = read_program(graph, values)
    subject = _subject(folder)
    # The file has a tied tensor once; here its coding goes by all of its names.
    first = canonical_names(program.model)
    named = {first[own]: coding for name, coding in codings.items() if (own := program.names.get(name, name)) in first}
    every = {name: named[one] for name, one in first.items() if one in named}
    return Loaded(program.model, subject.get("name", folder.name), every, subject.get("source", ""))


def check(folder: Path) -> None:
    """Compare every file with its checksum.

    Raises:
        WorkbenchError: A file is missing, was changed, is no plain file, or lies outside of the folder.
    """
    try:
        lines = read_plain(folder, CHECKSUMS, LIST_BYTES).decode().splitlines()
    except (WorkbenchError, UnicodeDecodeError) as error:
        raise WorkbenchError(f"{folder} is not a folder that export wrote: {error}") from error
    listed = {}
    for line in lines[: FILES + 1]:
        digest, _, name = line.partition("  ")
        if Path(name).name != name or not name.isprintable():
            raise WorkbenchError(f"{folder / CHECKSUMS} names {name[:80]!r}, which is outside of the folder")
        listed[name] = digest
    if len(lines) > FILES:
        raise WorkbenchError(f"{folder / CHECKSUMS} names {len(lines)} files; {FILES} may be")
    for name in (WEIGHTS, PROGRAM):
        if name not in listed:
            raise WorkbenchError(f"{folder} has no {name}, so it cannot be opened without the model's source")
    for name, digest in listed.items():
        with open_plain(folder, name) as file:
            actual = _hash(file)
        if actual != digest:
            raise WorkbenchError(f"{folder / name} is not what was exported: its checksum differs")


def folder_digest(folder: Path) -> str:
    """Return hex digits that change with what was exported to a folder, "" if it is no such folder.

    They are of its list of checksums, to which a folder has to keep when it is loaded.
    """
    try:
        return hashlib.sha256(read_plain(folder, CHECKSUMS, LIST_BYTES)).hexdigest()
    except WorkbenchError:
        return ""  # loading it says why


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return _hash(file)


def _hash(file: BufferedReader) -> str:
    return hashlib.file_digest(file, "sha256").hexdigest()


def _subject(folder: Path) -> dict[str, str]:
    """Return name and source of what was exported, as far as the record says them."""
    try:
        record: Any = json.loads(read_plain(folder, RECORD, RECORD_BYTES).decode())
    except (WorkbenchError, ValueError, RecursionError):
        return {}  # the model is all there without it
    subject = record.get("subject") if isinstance(record, dict) else None
    named = subject if isinstance(subject, dict) else {}
    return {key: value for key, value in named.items() if key in ("name", "source") and _is_name(value)}


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= 200 and value.isprintable()


SOURCE = Source(is_exported, get)
