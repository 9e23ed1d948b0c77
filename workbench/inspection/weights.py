"""How a weight's values are spread, in all and for each output channel."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.task.device import CPU


@dataclass(frozen=True)
class Histogram:
    """Counts of values between edges.

    Attributes:
        edges: Rising, one more than `counts`, in the unit of the values.
        counts: Values in [edge, next edge); the last bin holds its upper edge too.
        outside: Values that are in no bin, because the span was given.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    outside: int = 0


@dataclass(frozen=True)
class Spread:
    """Minimum, quartiles and maximum of each output channel, each [C], in the unit of the weight."""

    low: tuple[float, ...]
    quarter: tuple[float, ...]
    median: tuple[float, ...]
    three_quarters: tuple[float, ...]
    high: tuple[float, ...]


def histogram(values: Tensor, bins: int = 80, span: tuple[float, float] | None = None) -> Histogram:
    """Return a histogram of all values of a tensor.

    Args:
        values: Of any shape.
        bins: Number of bins of equal width.
        span: Lowest and highest edge; by default those of the values. Two histograms can only be laid over each
            other when both have the same.

    Raises:
        WorkbenchError: The tensor is empty or not finite, or there are no bins.
    """
    flat = checked(values).flatten()
    if bins < 1:
        raise WorkbenchError(f"a histogram needs at least one bin, not {bins}")
    low, high = span if span is not None else (float(flat.min()), float(flat.max()))
    if not low < high:
        # All values are one value; bins around it have to have some width.
        width = abs(low) * 0.5 or 0.5
        low, high = low - width, low + width
    inside = flat[(flat >= low) & (flat <= high)]
    counts = torch.histc(inside, bins=bins, min=low, max=high)
    edges = torch.linspace(low, high, bins + 1, dtype=torch.float64)
    return Histogram(tuple(edges.tolist()), tuple(int(count) for count in counts), len(flat) - len(inside))


def channel_spread(weight: Tensor, outputs: int = 0) -> Spread:
    """Return the spread of each output channel.

    Args:
        weight: [out, ...], or with the output channels in dimension `outputs`.
        outputs: The dimension that counts output channels (`Layer.outputs`).

    Raises:
        WorkbenchError: The weight is empty or not finite, or has no such dimension.
    """
    rows = as_rows(weight, outputs)
    parts = torch.quantile(rows, torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0], dtype=rows.dtype), dim=1)
    return Spread(*(tuple(part) for part in parts.tolist()))


def as_rows(weight: Tensor, outputs: int = 0) -> Tensor:
    """Return the weight as a matrix [out, rest], float32.

    Raises:
        WorkbenchError: The weight is empty or not finite, or has no such dimension.
    """
    if weight.ndim < 2 or not 0 <= outputs < weight.ndim:
        raise WorkbenchError(
            f"a weight of shape {tuple(weight.shape)} has no output channels in dimension {outputs} beside inputs"
        )
    return checked(weight).movedim(outputs, 0).flatten(1)


def checked(values: Tensor) -> Tensor:
    """Return the values as float32 on the CPU.

    Raises:
        WorkbenchError: There are none, or some are NaN or infinite.
    """
    plain = values.detach().to(CPU, torch.float32)
    if not plain.numel():
        raise WorkbenchError(f"a tensor of shape {tuple(values.shape)} has no values to look at")
    if not torch.isfinite(plain).all():
        raise WorkbenchError("the values hold NaN or infinite ones, so they cannot be drawn")
    return plain
