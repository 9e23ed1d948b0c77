"""The integer grid that suits a weight."""

from __future__ import annotations

import torch
from torch import Tensor

from workbench.checkpoint.coding.ranges import clip_percentile, least_error
from workbench.checkpoint.coding.uniform import Uniform, integer_range

RANGES = ("min-max", "percentile", "mse")


def grid(
    weight: Tensor,
    bits: int,
    axis: int | None,
    symmetric: bool,
    ranges: str = "min-max",
    percentile: float = 99.9,
    group: int = 0,
) -> Uniform:
    """Return the grid of a weight: `bits` wide, one scale for each index of `axis` or one in all.

    The symmetric grid runs from -(2**(bits-1)-1) to 2**(bits-1)-1 around zero; the asymmetric one uses all
    2**bits integers and holds 0.0 exactly.

    Args:
        weight: [outputs, inputs, ...], or with outputs as another dimension.
        bits: 2 to 8.
        axis: The dimension of outputs, None for one scale in all.
        symmetric: Whether the range is the same on both sides of zero.
        ranges: Of `RANGES`: all values, a percentile of them, or what makes the squared error smallest.
        percentile: Where `ranges` says so, in percent.
        group: How many inputs share a scale; 0 for all.
    """
    wide = weight.detach().float()
    if axis is None:
        scale, zero_point = _fit(wide.reshape(1, -1), bits, symmetric, ranges, percentile)
        return _uniform(bits, scale.reshape(()), zero_point.reshape(()), symmetric, None)
    rows = wide.movedim(axis, 0)
    if not group:
        return _uniform(bits, *_fit(rows.flatten(1), bits, symmetric, ranges, percentile), symmetric, axis)
    parts = torch.split(rows, group, dim=1)
    fitted = [_fit(part.flatten(1), bits, symmetric, ranges, percentile) for part in parts]
    scale, zero_point = (torch.stack(tables, 1) for tables in zip(*fitted, strict=True))
    return _uniform(bits, scale, zero_point, symmetric, axis, tuple(part.shape[1] for part in parts))


def _uniform(
    bits: int, scale: Tensor, zero_point: Tensor, symmetric: bool, axis: int | None, groups: tuple[int, ...] = ()
) -> Uniform:
    return Uniform(bits, scale, zero_point, *integer_range(bits, symmetric), axis, groups)


def _fit(rows: Tensor, bits: int, symmetric: bool, ranges: str, percentile: float) -> tuple[Tensor, Tensor]:
    """Return scale and zero point of every row, each [n]."""
    lowest, highest = integer_range(bits, symmetric)
    low, high = rows.amin(1).clamp(max=0.0), rows.amax(1).clamp(min=0.0)
    if ranges == "percentile":
        low, high = clip_percentile(rows, percentile, symmetric)

    def tables(part: Tensor) -> tuple[Tensor, Tensor]:
        if symmetric:
            scale = part * torch.maximum(-low, high) / highest
            zero_point = torch.zeros_like(scale)
        else:
            scale = part * (high - low) / (highest - lowest)
            zero_point = lowest - torch.round(part * low / scale.clamp(min=torch.finfo(torch.float32).tiny))
        # A channel of zeros only has no range; any scale codes it.
        return torch.where(scale > 0, scale, torch.ones_like(scale)), zero_point.long()

    def error(part: Tensor) -> Tensor:
        scale, zero_point = (table.unsqueeze(1) for table in tables(part))
        rounded = ((rows / scale).round() + zero_point).clamp(lowest, highest) - zero_point
        return (rounded * scale - rows).square().sum(1)

    return tables(
        least_error(error, len(rows), rows.device) if ranges == "mse" else torch.ones(len(rows), device=rows.device)
    )
