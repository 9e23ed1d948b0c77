"""Sums of powers of two: nearly as cheap as one of them, and finer where the weights are large.

Li, Dong, Wang: "Additive Powers-of-Two Quantization", 2020.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from workbench.checkpoint.coding.levels import Levels, mirrored
from workbench.registry import register


@register
@dataclass(frozen=True, eq=False)
class AdditivePowers(Levels):
    """A sign and `bits - 1` bits in pairs, each pair a choice of 0 or one of three powers of two."""

    kind: ClassVar[str] = "additive powers of two"

    @property
    def levels(self) -> Tensor:
        return mirrored(sums(self.bits - 1))


def sums(bits: int) -> Tensor:
    """Return the 2**bits magnitudes of terms of two bits each, the last of one bit where `bits` is odd.

    Term i of n adds 0 or 2**-(i + j n) for j = 0, 1, 2, so that the terms take turns in the powers.
    """
    terms = -(-bits // 2)
    levels = torch.zeros(1, dtype=torch.float64)
    for term in range(terms):
        count = 1 if term == terms - 1 and bits % 2 else 3
        choices = torch.cat([torch.zeros(1), torch.exp2(-(term + terms * torch.arange(count)).double())])
        levels = (levels[:, None] + choices).flatten()
    return levels
