"""Bounds on the axis of a layer's weights: where a step cuts or clips, as marks that a person can drag.

A step that has them gives `Step.bounds` and `Step.with_bounds`; whoever draws weights needs to know no more of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor


@dataclass(frozen=True)
class Bounds:
    """Two marks on the axis of a weight.

    Attributes:
        low: In the unit of the weight.
        high: In the unit of the weight, at least `low`.
        gone: What the step changes most: what lies "inside" becomes zero, or what lies "outside" is clipped.
        option: The step's field that they set.
        mirrored: Whether both are always equally far from zero.
    """

    low: float
    high: float
    gone: Literal["inside", "outside"]
    option: str
    mirrored: bool = True


def magnitude_at(weight: Tensor, amount: float) -> float:
    """Return the largest of the `floor(amount * n)` smallest magnitudes of a weight, 0.0 where these are none."""
    drop = int(amount * weight.numel())
    return float(weight.detach().abs().flatten().float().kthvalue(drop).values) if drop else 0.0


def amount_below(weight: Tensor, magnitude: float) -> float:
    """Return the part of a weight's values whose magnitude is at most `magnitude`, 0 to 1."""
    return int((weight.detach().abs() <= magnitude).sum()) / weight.numel()


def percentile_within(rows: Tensor, reach: float) -> float:
    """Return the percentile, 0 to 100, at which the widest of several ranges ends nearest to `reach`.

    Args:
        rows: Values of each range, [n, k]; what is smaller than the percentile of its row lies inside.
        reach: In the unit of the values.
    """
    ends = rows.sort(dim=1).values.amax(0)
    return 100 * int((ends - reach).abs().argmin()) / max(len(ends) - 1, 1)
