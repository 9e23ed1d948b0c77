"""The record of a score: an estimate, its interval over the split, and what the split says of all such data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from workbench.checkpoint.facts import Facts


@dataclass(frozen=True)
class Score:
    """How good a model is on one split.

    Two questions have two intervals. What the *whole split* would give is uncertain only while samples are left out:
    `low` to `high`. What *other data of the same kind* would give stays uncertain when every sample was seen, for the
    split is a sample itself: `population_low` to `population_high`.

    Attributes:
        value: Estimate of the metric over the whole split, within the metric's bounds.
        low: Lower end of the 95 % interval; -inf (or the metric's own bound) where no interval can be given.
        high: Upper end, inf likewise; equal to `low` when every sample was seen.
        n: Samples seen.
        total: Samples in the split.
        change: Estimate of value minus the baseline's value; 0.0 for a baseline.
        change_low: Lower end of its interval over the split.
        change_high: Upper end.
        metric: Name of the metric.
        unit: "%" where value 1.0 reads as 100 %.
        split: Name of the split.
        higher_is_better: Whether a fall is a loss.
        population_low: Lower end of the change's 95 % interval for all data of this kind, None where it is not known:
            samples were left out, the metric states no bounds, or it is one value of the whole split.
        population_high: Upper end, None likewise.
    """

    value: float
    low: float
    high: float
    n: int
    total: int
    change: float = 0.0
    change_low: float = 0.0
    change_high: float = 0.0
    metric: str = "top-1 accuracy"
    unit: str = "%"
    split: str = "validation"
    higher_is_better: bool = True
    population_low: float | None = None
    population_high: float | None = None

    @classmethod
    def read(cls, facts: Any) -> Score:
        """Return the score of plain JSON; fields that earlier versions did not write have their defaults.

        Raises:
            WorkbenchError: A field is missing, of another type, NaN or out of range.
        """
        of = Facts(facts, "a score")
        ends = {name: of.number(name, endless=True) for name in ("low", "high", "change_low", "change_high")}
        total = of.whole("total", 1)
        return cls(
            value=of.number("value"), n=of.whole("n", 0, total), total=total, change=of.number("change", default=0.0),
            metric=of.text("metric"), unit=of.text("unit"), split=of.text("split"),
            higher_is_better=of.flag("higher_is_better"), population_low=of.number_or_none("population_low"),
            population_high=of.number_or_none("population_high"), **ends,
        )  # fmt: skip

    @property
    def exact(self) -> bool:
        """Whether every sample was seen."""
        return self.n == self.total

    @property
    def known(self) -> bool:
        """Whether the interval over the split is known: an infinite one says nothing of how sure the value is."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    @property
    def half_width(self) -> float:
        """The longer arm of the interval, in the unit of `value`, inf while it is not known.

        Near a bound of the metric the other arm is cut off.
        """
        return max(self.high - self.value, self.value - self.low)

    @property
    def loss(self) -> float:
        """By how much the value is worse than the baseline's; inf where it is not a number, which nobody tolerates."""
        worse = -self.change if self.higher_is_better else self.change
        return math.inf if math.isnan(worse) else worse
