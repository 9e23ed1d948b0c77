"""Entropy coding of codes: frequent ones get short bit strings.

Huffman: "A Method for the Construction of Minimum-Redundancy Codes", 1952; for weights Han, Mao, Dally: "Deep
Compression", 2016. It is the Huffman stage of Deflate (RFC 1951) alone, one code for each byte, so that any zlib reads
it back. Searching for repetitions as well makes weights longer, not shorter.
"""

from __future__ import annotations

import zlib

import numpy as np
import torch
from torch import Tensor

from workbench.task.device import CPU

RAW = -15  # no header and no checksum: the whole file has one


def _width(bits: int) -> str:
    return "<u1" if bits <= 8 else "<u2"


def squeeze(codes: Tensor, bits: int) -> Tensor:
    """Return `codes` [n] (0 <= code < 2**bits) as a Huffman stream, uint8."""
    stream = zlib.compressobj(9, zlib.DEFLATED, RAW, 9, zlib.Z_HUFFMAN_ONLY)
    data = stream.compress(codes.to(CPU).numpy().astype(_width(bits)).tobytes()) + stream.flush()
    return torch.from_numpy(np.frombuffer(data, np.uint8).copy())


def expand(packed: Tensor, bits: int, count: int) -> Tensor:
    """Return the `count` codes of `squeeze`, int64 [count].

    Raises:
        ValueError: The stream is damaged or holds another number of codes.
    """
    codes = expand_up_to(packed, bits, count)
    if len(codes) != count:
        raise ValueError(f"an entropy-coded stream does not hold {count} codes")
    return codes


def expand_up_to(packed: Tensor, bits: int, most: int) -> Tensor:
    """Return the codes of `squeeze`, of which there are at most `most`; errors as in `expand`."""
    width = np.dtype(_width(bits))
    stream = zlib.decompressobj(RAW)
    try:
        # One byte more than may be there is enough to know; a forged stream could hold gigabytes.
        data = stream.decompress(packed.numpy().tobytes(), most * width.itemsize + 1)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if len(data) > most * width.itemsize or len(data) % width.itemsize or not stream.eof:
        raise ValueError(f"an entropy-coded stream is damaged or holds more than {most} codes")
    codes = torch.from_numpy(np.frombuffer(data, width).astype(np.int64))
    if len(codes) and int(codes.max()) >> bits:
        raise ValueError(f"an entropy-coded stream holds codes of more than {bits} bits")
    return codes
