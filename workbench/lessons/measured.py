"""What a prediction is judged against: a value that was measured a moment ago, and how sure it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from workbench import formatting
from workbench.errors import WorkbenchError
from workbench.measure import Latency, Score

PERCENT = 100


@dataclass(frozen=True)
class Measured:
    """A measured value.

    Attributes:
        value: In the unit of its question.
        low: Lower end of its 95 % interval; equal to `value` for what is counted.
        high: Upper end.
        text: The value for people, with its interval.
    """

    value: float
    low: float
    high: float
    text: str

    def __post_init__(self) -> None:
        """Refuse what is no measurement.

        Raises:
            WorkbenchError: The value is no number, or lies outside of its interval.
        """
        if not math.isfinite(self.value) or not self.low <= self.value <= self.high:
            raise WorkbenchError(f"{self.value:g} in [{self.low:g}, {self.high:g}] is no measurement")


def counted(value: float, text: str = "") -> Measured:
    """Return what was counted, such as bytes or multiply-accumulates: it has no interval."""
    return Measured(value, value, value, text or f"{value:,.4g}")


def points_lost(score: Score) -> Measured:
    """Return how many points a score fell below the baseline's, with the interval on other data of the same kind.

    The split was seen whole, but it is a sample itself, and another would give another fall.

    Raises:
        WorkbenchError: Samples were left out, or the metric cannot say what other data would give.
    """
    low, high = score.population_low, score.population_high
    if not score.exact or low is None or high is None:
        raise WorkbenchError(f"the change of {score.metric} on other data is not known")
    least, most = sorted((-low * PERCENT, -high * PERCENT))
    value = min(max(-score.change * PERCENT, least), most)
    return Measured(value, least, most, formatting.minus(f"{value:.2f} points [{least:.2f}, {most:.2f}]"))


def points(score: Score) -> Measured:
    """Return a score in per cent, with the interval that its change has on other data."""
    lost = points_lost(score)
    value = score.value * PERCENT
    low, high = (min(max(value + end, 0.0), 100.0) for end in (lost.value - lost.high, lost.value - lost.low))
    return Measured(value, min(low, value), max(high, value), f"{value:.2f} % [{low:.2f}, {high:.2f}]")


def times_faster(latency: Latency) -> Measured:
    """Return how many times as fast as the baseline a model is, as `wb.Latency` measured it."""
    low, high = min(latency.ratio_low, latency.ratio), max(latency.ratio_high, latency.ratio)
    return Measured(latency.ratio, low, high, f"{latency.ratio:.2f} × [{low:.2f}, {high:.2f}]")


def fewer_seconds(latency: Latency) -> Measured:
    """Return which part of the baseline's time a model saves, in per cent; less than 0 where it is slower."""
    value, low, high = (
        PERCENT * (1 - 1 / end)
        for end in (latency.ratio, min(latency.ratio_low, latency.ratio), max(latency.ratio_high, latency.ratio))
    )
    return Measured(value, low, high, formatting.minus(f"{value:.0f} % [{low:.0f}, {high:.0f}]"))


def repeated(values: Sequence[float], unit: str = "") -> Measured:
    """Return the mean of a measurement that was repeated, such as with several seeds, with its 95 % interval.

    Raises:
        WorkbenchError: There are fewer than two values.
    """
    from scipy import stats  # it is heavy, and only this needs it

    if len(values) < 2:
        raise WorkbenchError("one value has no interval; repeat the measurement")
    count, mean = len(values), sum(values) / len(values)
    spread = math.sqrt(sum((value - mean) ** 2 for value in values) / (count - 1))
    reach = float(stats.t.ppf(0.975, count - 1)) * spread / math.sqrt(count)
    ends = f"{mean:.3g} [{mean - reach:.3g}, {mean + reach:.3g}]"
    return Measured(mean, mean - reach, mean + reach, formatting.minus(f"{ends} {unit}".strip()))
