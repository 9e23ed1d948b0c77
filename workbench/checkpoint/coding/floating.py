"""Floating-point numbers of 8 and 16 bits.

Micikevicius et al.: "FP8 Formats for Deep Learning", 2022 (e4m3, e5m2); Kalamkar et al.: "A Study of BFLOAT16 for
Deep Learning Training", 2019; IEEE 754 (binary16).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from workbench.checkpoint.coding.coding import Coding
from workbench.registry import register

FORMATS = {
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
    "fp8 e4m3": torch.float8_e4m3fn,
    "fp8 e5m2": torch.float8_e5m2,
}


@register
@dataclass(frozen=True, eq=False)
class Floating(Coding):
    """The bits of a shorter floating-point format, times a scale. Numbers beyond its largest become that.

    Attributes:
        bits: 8 or 16.
        name: Of the format, one of `FORMATS`.
        scale: float32, [] or [size of axis]; what the format's 1.0 stands for.
        axis: The dimension that has a scale for each index, None for one scale in all.
    """

    kind: ClassVar[str] = "floating"
    bits: int
    name: str
    scale: Tensor
    axis: int | None = None

    @classmethod
    def of(cls, name: str, scale: Tensor, axis: int | None = None) -> Floating:
        """Return the coding of a format."""
        return cls(8 * FORMATS[name].itemsize, name, scale, axis)

    def _wide(self, ndim: int) -> Tensor:
        return (
            self.scale if self.axis is None else self.scale.view([-1 if dim == self.axis else 1 for dim in range(ndim)])
        )

    def codes(self, values: Tensor) -> Tensor:
        dtype = FORMATS[self.name]
        largest = torch.finfo(dtype).max
        # Adding zero makes -0.0 positive: a file that leaves zeros out could not tell the two apart.
        short = ((values.float() / self._wide(values.ndim)).clamp(-largest, largest) + 0.0).to(dtype)
        if dtype.itemsize == 1:
            codes = short.view(torch.uint8).long()
            return torch.where(codes == 0x80, 0, codes)
        codes = short.view(torch.int16).long() & 0xFFFF
        return torch.where(codes == 0x8000, 0, codes)

    def values(self, codes: Tensor) -> Tensor:
        dtype = FORMATS[self.name]
        signed = codes.to(torch.uint8) if dtype.itemsize == 1 else codes.to(torch.int16)
        return signed.view(dtype).float() * self._wide(codes.ndim)

    def tables(self) -> dict[str, Tensor]:
        return {} if self.axis is None and float(self.scale) == 1 else {"scale": self.scale}

    def facts(self) -> dict[str, Any]:
        return {"format": self.name} if self.axis is None else {"format": self.name, "axis": self.axis}

    @classmethod
    def read(cls, facts: Mapping[str, Any], tables: Mapping[str, Tensor]) -> Floating:
        return cls.of(str(facts["format"]), tables.get("scale", torch.tensor(1.0)), facts.get("axis"))

    def select(self, dim: int, keep: Sequence[int]) -> Floating:
        return replace(self, scale=self.scale[torch.as_tensor(keep)]) if dim == self.axis else self
