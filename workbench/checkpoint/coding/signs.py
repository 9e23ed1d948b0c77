"""Signs alone, and signs with zero.

Rastegari et al.: "XNOR-Net", 2016 (binary); Li and Liu: "Ternary Weight Networks", 2016.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from workbench.checkpoint.coding.levels import Levels
from workbench.registry import register


@register
@dataclass(frozen=True, eq=False)
class Binary(Levels):
    """-1 and 1, in one bit. There is no zero."""

    kind: ClassVar[str] = "binary"

    @property
    def levels(self) -> Tensor:
        return torch.tensor([-1.0, 1.0])


@register
@dataclass(frozen=True, eq=False)
class Ternary(Levels):
    """-1, 0 and 1, in two bits."""

    kind: ClassVar[str] = "ternary"

    @property
    def levels(self) -> Tensor:
        return torch.tensor([-1.0, 0.0, 1.0])
