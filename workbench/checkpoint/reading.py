"""Opening files that may come from anybody: plain ones, of a size that is there, and inside of their folder."""

from __future__ import annotations

import os
import stat
import zlib
from io import BufferedReader
from pathlib import Path

from workbench.errors import WorkbenchError, first_line, shown

MIB = 1 << 20
# A file with a hole in it claims bytes that no disk holds; below this size that does no harm.
HOLE_FROM, HOLE_FACTOR = 256 * MIB, 64
PART = 1 << 16


def open_plain(folder: Path, name: str) -> BufferedReader:
    """Open a file of a folder for reading.

    Raises:
        WorkbenchError: It is missing, no plain file (a pipe, a device, a folder), lies outside of the folder by way
            of a link, or is mostly a hole.
    """
    path = folder / name
    try:
        inside = path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError) as error:  # a ring of links, a name with a zero byte
        raise WorkbenchError(f"{path} cannot be read: {first_line(error)}") from error
    if not inside:
        raise WorkbenchError(f"{path} leads out of the folder")
    return open_file(path)


def open_file(path: Path) -> BufferedReader:
    """Open a file that somebody named, wherever it lies, for reading.

    Raises:
        WorkbenchError: It is missing, no plain file (a pipe, a device, a folder), or is mostly a hole.
    """
    name = shown(str(path), 200)
    try:
        # Looked at before it is opened, since opening a device may do something; and after, should it have changed.
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116  # beside os.open and os.fstat
            raise WorkbenchError(f"{name} is no plain file")
        # Without waiting: opening a pipe would not return before somebody writes to it.
        number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except FileNotFoundError as error:
        raise WorkbenchError(f"{name} is missing") from error
    except (OSError, ValueError) as error:
        raise WorkbenchError(f"{name} cannot be read: {first_line(error)}") from error
    facts = os.fstat(number)
    blocks = getattr(facts, "st_blocks", None)
    said = ""
    if not stat.S_ISREG(facts.st_mode):
        said = "is no plain file"
    elif blocks is not None and facts.st_size > max(HOLE_FROM, HOLE_FACTOR * 512 * blocks):
        said = f"is mostly a hole: it claims {facts.st_size} bytes, of which the disk holds few"
    if said:
        os.close(number)
        raise WorkbenchError(f"{name} {said}")
    return os.fdopen(number, "rb")


def read_plain(folder: Path, name: str, most: int) -> bytes:
    """Return what is in a file of at most `most` bytes; errors as in `open_plain`."""
    with open_plain(folder, name) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise WorkbenchError(f"{folder / name} is larger than the {most} bytes that it may have")
    return data


def read_packed(folder: Path, name: str, most: int) -> bytes:
    """Return what a gzip file holds, at most `most` bytes; errors as in `open_plain`, and where it is damaged."""
    unpacking = zlib.decompressobj(wbits=31)
    chunks: list[bytes] = []
    room = most + 1
    try:
        with open_plain(folder, name) as file:
            while room and not unpacking.eof and (part := file.read(PART)):
                while room and part:
                    chunks.append(unpacking.decompress(part, room))
                    room -= len(chunks[-1])
                    part = unpacking.unconsumed_tail
            ended = unpacking.eof and not unpacking.unused_data and not file.read(1)
    except (OSError, zlib.error) as error:
        raise WorkbenchError(f"{folder / name} cannot be read: {first_line(error)}") from error
    if not room:
        raise WorkbenchError(f"{folder / name} unpacks to more than the {most} bytes that it may have")
    if not ended:
        raise WorkbenchError(f"{folder / name} cannot be read: it ends too early or too late")
    return b"".join(chunks)
