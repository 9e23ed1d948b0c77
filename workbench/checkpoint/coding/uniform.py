"""Evenly spaced values: `value = (code - zero_point) * scale`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, ClassVar

import torch
from torch import Tensor

from workbench.checkpoint.coding.coding import Coding
from workbench.registry import register


def integer_range(bits: int, symmetric: bool) -> tuple[int, int]:
    """Return the smallest and largest integer: -127 and 127 for 8 bits where symmetric, else -128 and 127."""
    return -(2 ** (bits - 1)) + (1 if symmetric else 0), 2 ** (bits - 1) - 1


@register
@dataclass(frozen=True, eq=False)
class Uniform(Coding):
    """An integer grid: one for the tensor, one for each index of `axis`, or one for each group of inputs of these.

    Attributes:
        bits: 2 to 8.
        scale: float32, [], [size of axis] or [size of axis, groups]; the distance of neighbouring values, in the
            tensor's unit.
        zero_point: int64, same shape; the integer that stands for 0.0.
        low: Smallest integer, such as -127; the largest is `high`.
        axis: The dimension that has a scale for each index, None for one scale in all.
        groups: How many neighbouring indices of dimension `1 - axis` share a scale, for each group in turn; () where
            all do.
    """

    kind: ClassVar[str] = "uniform"
    bits: int
    scale: Tensor
    zero_point: Tensor
    low: int
    high: int
    axis: int | None = None
    groups: tuple[int, ...] = ()

    @property
    def count(self) -> int:
        return self.high - self.low + 1

    @property
    def reach(self) -> tuple[Tensor, Tensor]:
        """The smallest and the largest value of all grids together, each []."""
        ends = [((end - self.zero_point).float() * self.scale) for end in (self.low, self.high)]
        return ends[0].amin(), ends[1].amax()

    def wide(self, table: Tensor, ndim: int) -> Tensor:
        """Return a table in the shape of scales so that it meets a tensor of `ndim` dimensions element by element."""
        if self.axis is None:
            return table
        if self.groups:
            spread = table.repeat_interleave(torch.tensor(self.groups, device=table.device), dim=1)
            spread = spread.T if self.axis else spread
            return spread.reshape(*spread.shape, *[1] * (ndim - 2))
        return table.view([-1 if dim == self.axis else 1 for dim in range(ndim)])

    def integers(self, values: Tensor) -> Tensor:
        """Return the nearest integers of the grid, int64, clipped to [low, high]."""
        scaled = torch.round(values.float() / self.wide(self.scale, values.ndim))
        return (scaled + self.wide(self.zero_point, values.ndim)).clamp(self.low, self.high).long()

    def codes(self, values: Tensor) -> Tensor:
        return self.integers(values) - self.low

    def values(self, codes: Tensor) -> Tensor:
        integers = codes + self.low - self.wide(self.zero_point, codes.ndim)
        return integers.float() * self.wide(self.scale, codes.ndim)

    def tables(self) -> dict[str, Tensor]:
        tables = {"scale": self.scale}
        if self.zero_point.any():
            tables["zero_point"] = self.zero_point.to(torch.int16)
        return tables

    def facts(self) -> dict[str, Any]:
        # What follows from the bits is left out: in a small network the header is a part of the file that counts.
        facts: dict[str, Any] = {"bits": self.bits}
        if (self.low, self.high) != integer_range(self.bits, symmetric=True):
            facts |= {"low": self.low, "high": self.high}
        if self.groups:
            facts["groups"] = _shortened(self.groups)
        return facts if self.axis is None else {**facts, "axis": self.axis}

    @classmethod
    def read(cls, facts: Mapping[str, Any], tables: Mapping[str, Tensor]) -> Uniform:
        scale = tables["scale"]
        zero_point = tables.get("zero_point", torch.zeros_like(scale)).long()
        low, high = integer_range(facts["bits"], symmetric=True)
        return cls(
            facts["bits"], scale, zero_point, facts.get("low", low), facts.get("high", high), facts.get("axis"),
            tuple(size for size, times in facts.get("groups", ()) for _ in range(times)),
        )  # fmt: skip

    def select(self, dim: int, keep: Sequence[int]) -> Uniform:
        indices = torch.as_tensor(keep)
        if dim == self.axis:
            return replace(self, scale=self.scale[indices], zero_point=self.zero_point[indices])
        if not self.groups or self.axis is None or dim != 1 - self.axis:
            return self
        group = torch.arange(len(self.groups)).repeat_interleave(torch.tensor(self.groups))
        sizes = torch.bincount(group[indices], minlength=len(self.groups))
        left = sizes.nonzero().flatten()
        return replace(
            self, scale=self.scale[:, left], zero_point=self.zero_point[:, left], groups=tuple(sizes[left].tolist())
        )


def _shortened(sizes: Sequence[int]) -> list[list[int]]:
    """Return equal neighbours as [size, how many]: a large layer has thousands of groups, and all but one alike."""
    return [[size, len(list(same))] for size, same in groupby(sizes)]
