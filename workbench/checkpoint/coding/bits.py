"""Whole numbers of 1 to 16 bits, packed without gaps."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def pack(codes: Tensor, bits: int) -> Tensor:
    """Return `codes` [n] (0 <= code < 2**bits), lowest bit first, as uint8 [ceil(n * bits / 8)]."""
    if bits == 8:
        return codes.to(torch.uint8)
    if bits == 16:
        return torch.from_numpy(codes.numpy().astype("<u2").view(np.uint8))
    values = codes.numpy().astype(np.uint16)
    planes = (values[:, None] >> np.arange(bits, dtype=np.uint16)) & 1
    return torch.from_numpy(np.packbits(planes.astype(np.uint8).ravel(), bitorder="little"))


def unpack(packed: Tensor, bits: int, count: int) -> Tensor:
    """Return the `count` codes of `pack`, int64 [count]."""
    if bits == 8:
        return packed[:count].long()
    if bits == 16:
        return torch.from_numpy(packed[: 2 * count].numpy().view("<u2").astype(np.int64))
    planes = np.unpackbits(packed.numpy(), count=count * bits, bitorder="little").reshape(count, bits)
    return torch.from_numpy(planes.astype(np.int64) @ (1 << np.arange(bits, dtype=np.int64)))


def packed_bytes(count: int, bits: int) -> int:
    """Return the number of bytes that `pack` gives."""
    return (count * bits + 7) // 8
