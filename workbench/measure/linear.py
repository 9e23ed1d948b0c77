"""A metric of sums, as if it were a mean: what each sample's sums change in the score, as far as that is linear.

The delta method (Cramér, "Mathematical Methods of Statistics", 1946, ch. 28): near the sums of all samples a smooth
function of them is linear, so that its interval follows from that of a mean.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from workbench.task.metric import Metric

# Of each sum, by which it is moved to see what follows.
STEP = 1e-4


@dataclass(frozen=True, eq=False)
class Linear:
    """A metric of sums at the sums of a split.

    Attributes:
        gradient: Change of the score by that of each sum, float64 [K].
        change: Score less that of the baseline, exact for these sums.
    """

    gradient: Tensor
    change: float

    @classmethod
    def at(cls, metric: Metric, base: Tensor, drift: Tensor) -> Linear:
        """Return it between a baseline's sums and those `drift` away, [K] each: halfway, where a chord is steepest."""
        middle = base + drift / 2
        # Sums are counts or totals: what one of them is to the largest gives a step that is small and not lost.
        steps = (middle.abs() * STEP).clamp(min=STEP)
        moved = torch.eye(len(base), dtype=base.dtype) * steps
        assert metric.combine is not None  # noqa: S101  # whoever has sums has it
        ends = metric.combine(torch.cat([middle + moved, middle - moved])).double()
        gradient = ((ends[: len(base)] - ends[len(base) :]) / (2 * steps)).nan_to_num(0.0, 0.0, 0.0)
        change = float(metric.total(torch.stack([base + drift])) - metric.total(torch.stack([base])))
        return cls(gradient, change)

    def limits(self, metric: Metric, sums: Tensor) -> tuple[Tensor, Tensor]:
        """Return the most that each sample with these sums, [n, K], can lose and gain of the score, [n] each."""
        if metric.limits is None:
            endless = torch.full((len(sums),), math.inf, dtype=torch.float64)
            return -endless, endless
        ends = [(end - sums) * self.gradient for end in metric.limits(sums)]
        return torch.minimum(*ends).sum(1), torch.maximum(*ends).sum(1)
