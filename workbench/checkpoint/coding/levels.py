"""Values out of a short list times a scale, whatever the list: `value = levels[code] * scale`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor

from workbench.checkpoint.coding.coding import Coding
from workbench.checkpoint.coding.ranges import least_error


@dataclass(frozen=True, eq=False)
class Levels(Coding):
    """A list of levels that the bits alone give, times a scale: one for the tensor or for each index of `axis`.

    Attributes:
        bits: Of a code; there are at most 2**bits levels.
        scale: float32, [] or [size of axis]; what the level 1.0 stands for, in the tensor's unit.
        axis: The dimension that has a scale for each index, None for one scale in all.
    """

    bits: int
    scale: Tensor
    axis: int | None = None

    @property
    @abstractmethod
    def levels(self) -> Tensor:
        """Rising float32 [at most 2**bits], the largest magnitude being 1.0."""

    @property
    def count(self) -> int:
        return len(self.levels)

    def _wide(self, ndim: int) -> Tensor:
        return (
            self.scale if self.axis is None else self.scale.view([-1 if dim == self.axis else 1 for dim in range(ndim)])
        )

    def codes(self, values: Tensor) -> Tensor:
        return nearest(self.levels.to(values.device), values.float() / self._wide(values.ndim))

    def values(self, codes: Tensor) -> Tensor:
        return self.levels.to(codes.device)[codes] * self._wide(codes.ndim)

    def tables(self) -> dict[str, Tensor]:
        return {"scale": self.scale}

    def facts(self) -> dict[str, Any]:
        return {"bits": self.bits} if self.axis is None else {"bits": self.bits, "axis": self.axis}

    @classmethod
    def read(cls, facts: Mapping[str, Any], tables: Mapping[str, Tensor]) -> Self:
        return cls(facts["bits"], tables["scale"], facts.get("axis"))

    def select(self, dim: int, keep: Sequence[int]) -> Self:
        return replace(self, scale=self.scale[torch.as_tensor(keep)]) if dim == self.axis else self


def nearest(levels: Tensor, values: Tensor) -> Tensor:
    """Return the numbers of the nearest of rising `levels`, int64 in the shape of `values`."""
    return torch.bucketize(values.contiguous(), (levels[1:] + levels[:-1]) / 2)


def fitted(coding: type[Levels], weight: Tensor, bits: int, axis: int | None, ranges: str) -> Levels:
    """Return the coding with the scales that suit a weight.

    Args:
        coding: Which levels.
        weight: Any shape.
        bits: As the levels take them.
        axis: The dimension of outputs, None for one scale in all.
        ranges: "min-max": the largest magnitude is the outermost level; "mse": the squared error is smallest.
    """
    wide = weight.detach().float()
    rows = wide.reshape(1, -1) if axis is None else wide.movedim(axis, 0).flatten(1)
    peak = rows.abs().amax(1)
    peak = torch.where(peak > 0, peak, torch.ones_like(peak))
    levels = coding(bits, peak, 0).levels.to(rows.device)

    def error(part: Tensor) -> Tensor:
        scale = (part * peak).unsqueeze(1)
        return (levels[nearest(levels, rows / scale)] * scale - rows).square().sum(1)

    scale = peak * least_error(error, len(rows), rows.device) if ranges == "mse" else peak
    return coding(bits, scale.reshape(()) if axis is None else scale, axis)


def mirrored(magnitudes: Tensor) -> Tensor:
    """Return 0.0, the positive `magnitudes` and their negatives, rising, scaled so that the largest is 1.0."""
    positive = torch.unique(magnitudes[magnitudes > 0].double())
    positive = positive / positive[-1]
    return torch.cat([-positive.flip(0), torch.zeros(1, dtype=torch.float64), positive]).float()
