"""A folder that `export` wrote, opened without the model's source."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from pathlib import Path

from workbench.checkpoint.checkpoint import read
from workbench.errors import WorkbenchError, within
from workbench.graph.program import from_text
from workbench.loading.source import Loaded, Source

CHECKSUMS, WEIGHTS, PROGRAM, RECORD = (
    "checksums.txt",
    "model.safetensors",
    "program.json.gz",
    "measurement.json",
)


def get(text: str, pretrained: bool) -> Loaded:
    """Return the model of an exported folder.

    Raises:
        WorkbenchError: A file is missing, or is not what was exported.
    """
    folder = Path(text)
    check(folder)
    values, codings = read(folder / WEIGHTS)
    try:
        graph = gzip.decompress((folder / PROGRAM).read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise WorkbenchError(f"{folder / PROGRAM} cannot be read: {error}") from error
    with within(str(folder)):
        model = from_text(graph, values)
    subject = _facts(folder).get("subject", {})
    return Loaded(model, str(subject.get("name", folder.name)), codings, str(subject.get("source", "")))


def check(folder: Path) -> None:
    """Compare every file with its checksum.

    Raises:
        WorkbenchError: A file is missing, was changed, or is named outside of the folder.
    """
    try:
        lines = (folder / CHECKSUMS).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise WorkbenchError(f"{folder} is not a folder that export wrote: {error}") from error
    listed = {}
    for line in lines:
        digest, _, name = line.partition("  ")
        if Path(name).name != name:
            raise WorkbenchError(f"{folder / CHECKSUMS} names {name!r}, which is outside of the folder")
        listed[name] = digest
    for name in (WEIGHTS, PROGRAM):
        if name not in listed:
            raise WorkbenchError(f"{folder} has no {name}, so it cannot be opened without the model's source")
    for name, digest in listed.items():
        if not (folder / name).is_file():
            raise WorkbenchError(f"{folder / name} is missing")
        if hash_file(folder / name) != digest:
            raise WorkbenchError(f"{folder / name} is not what was exported: its checksum differs")


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _facts(folder: Path) -> dict[str, dict[str, str]]:
    try:
        found = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


SOURCE = Source("a folder that export wrote", lambda text: (Path(text) / CHECKSUMS).is_file(), get)
