"""Powers of two and zero: a multiplication becomes a shift.

Zhou et al.: "Incremental Network Quantization", 2017; Miyashita et al.: "Convolutional Neural Networks using
Logarithmic Data Representation", 2016.
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
class PowersOfTwo(Levels):
    """0 and ±2**-k for k from 0 to 2**(bits - 1) - 2."""

    kind: ClassVar[str] = "powers of two"

    @property
    def levels(self) -> Tensor:
        return mirrored(torch.exp2(-torch.arange(2 ** (self.bits - 1) - 1).double()))
