"""Arrays out of .npz archives that may come from anybody."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any
from zipfile import ZipFile

import numpy as np

from workbench.checkpoint.reading import open_file
from workbench.errors import WorkbenchError, first_line, shown

Array = np.ndarray[Any, Any]
MIB = 1 << 20
# A few bytes of an archive may stand for gigabytes of equal ones.
BYTES, BYTES_PER_BYTE = 256 * MIB, 200
NUMBERS, TEXTS = "biuf", "US"
HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_arrays(path: Path, names: Sequence[str]) -> tuple[dict[str, Array], list[str]]:
    """Return the arrays of these names that an archive has, numbers in the machine's order of bytes, and all its names.

    Raises:
        WorkbenchError: It cannot be read as .npz, holds objects, or unpacks to far more than it takes.
    """
    try:
        with open_file(path) as stream, ZipFile(stream) as archive:
            held = [name.removesuffix(".npy") for name in archive.namelist()]
            size = stream.seek(0, 2)
            return {name: _array(archive, f"{name}.npy", size) for name in names if name in held}, held
    except WorkbenchError:
        raise
    except Exception as error:  # the readers of archives and arrays raise whatever they trip over
        raise WorkbenchError(f"{path} cannot be read as .npz: {shown(first_line(error), 200)}") from error


def _array(archive: ZipFile, name: str, size: int) -> Array:
    with archive.open(name) as file:
        claimed = archive.getinfo(name).file_size
        if claimed > BYTES + BYTES_PER_BYTE * size:
            raise ValueError(f"{name} claims {claimed // MIB} MiB in an archive of {size} bytes")
        _check(file, name, claimed)
    with archive.open(name) as file:
        array: Array = np.lib.format.read_array(file, allow_pickle=False)
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _check(file: IO[bytes], name: str, claimed: int) -> None:
    """Refuse an array of objects, and one whose header claims other bytes than there are."""
    version = np.lib.format.read_magic(file)
    if version not in HEADERS:
        raise ValueError(f"{name} has the format version {version}")
    shape, _, dtype = HEADERS[version](file)
    if dtype.hasobject or dtype.kind not in NUMBERS + TEXTS or (dtype.kind in NUMBERS and dtype.itemsize > 8):
        raise ValueError(f"{name} holds {shown(str(dtype))}, which are neither plain numbers nor text")
    count = math.prod(shape)
    if any(not 0 <= length <= claimed for length in shape) or count * dtype.itemsize != claimed - file.tell():
        raise ValueError(f"{name} claims the shape {shown(str(shape))}, which is not what it holds")
