"""A score's fall from the baseline, as it is drawn: up means worse."""

from __future__ import annotations

import math
from dataclasses import dataclass

from workbench import formatting
from workbench.measure import Score


@dataclass(frozen=True)
class Drop:
    """How much worse than the baseline.

    Attributes:
        value: In points (hundredths) for a metric in per cent, else in the metric's unit; above zero is worse.
        low: Lower end of its 95 % interval, NaN while it is not known, which is drawn as no band.
        high: Upper end, NaN likewise.
        points: Whether the unit is points.
        text: The change and its interval in words.
    """

    value: float
    low: float
    high: float
    points: bool
    text: str

    @property
    def unclear(self) -> bool:
        """Whether it may be zero, although not every sample was seen: by its interval, or for want of one."""
        return math.isnan(self.low) or (self.low <= 0 <= self.high and self.low != self.high)


def drop_of(score: Score) -> Drop:
    """Return the drop of a score against its baseline."""
    factor = 100.0 if score.unit == "%" else 1.0
    sign = -1.0 if score.higher_is_better else 1.0
    ends = sorted((sign * score.change_low * factor, sign * score.change_high * factor))
    ends = ends if score.known else [math.nan, math.nan]
    # Adding 0.0 turns -0.0 into 0.0, which nobody wants to read.
    value = sign * score.change * factor + 0.0
    interval = "" if score.exact else f" {formatting.change_interval(score)}"
    return Drop(value, ends[0], ends[1], score.unit == "%", formatting.points(score.change, score.unit) + interval)


def drop_axis(baseline: Score) -> str:
    """Return the label of an axis of drops."""
    return "points lost" if baseline.unit == "%" else f"change of {baseline.metric} for the worse"
