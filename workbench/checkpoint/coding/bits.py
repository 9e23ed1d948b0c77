"""Whole numbers of 1 to 16 bits, packed without gaps."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from workbench.task.device import CPU

PIECE = 1 << 18  # codes that are packed together; a multiple of 8, so that each piece ends with a whole byte


def pack(codes: Tensor, bits: int) -> Tensor:
    """Return `codes` [n] (of any whole type, 0 <= code < 2**bits), lowest bit first, as uint8 [ceil(n * bits / 8)]."""
    codes = codes.to(CPU)
    if bits == 8:
        return codes.to(torch.uint8)
    if bits == 16:
        return torch.from_numpy(codes.numpy().astype("<u2").view(np.uint8))
    places = np.arange(bits, dtype=np.uint16)
    packed = np.empty(packed_bytes(len(codes), bits), np.uint8)
    for start in range(0, len(codes), PIECE):
        part = codes[start : start + PIECE].numpy().astype(np.uint16)
        planes = ((part[:, None] >> places) & 1).astype(np.uint8)
        some = np.packbits(planes.ravel(), bitorder="little")
        packed[start * bits // 8 :][: len(some)] = some
    return torch.from_numpy(packed)


def unpack(packed: Tensor, bits: int, count: int) -> Tensor:
    """Return the `count` codes of `pack`, int64 [count]."""
    if bits == 8:
        return packed[:count].long()
    if bits == 16:
        return torch.from_numpy(packed[: 2 * count].numpy().view("<u2").astype(np.int64))
    worth, codes = 1 << np.arange(bits, dtype=np.int64), np.empty(count, np.int64)
    for start in range(0, count, PIECE):
        some = min(PIECE, count - start)
        part = packed[start * bits // 8 :][: packed_bytes(some, bits)].numpy()
        planes = np.unpackbits(part, count=some * bits, bitorder="little").reshape(some, bits)
        codes[start : start + some] = planes.astype(np.int64) @ worth
    return torch.from_numpy(codes)


def packed_bytes(count: int, bits: int) -> int:
    """Return the number of bytes that `pack` gives."""
    return (count * bits + 7) // 8
