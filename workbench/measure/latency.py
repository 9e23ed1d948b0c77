"""The record of a latency: two times, their ratio with an interval, and a verdict.

The ratio is that of the median times over the middle half of the pairs by their ratio, so that the two times that are
shown are those that it is made of. Its interval comes from the order statistics of the pairs' ratios (the
distribution-free interval of a median: David and Nagaraja, "Order Statistics", 2003, ch. 7.1).

Where nearly every pair is disturbed, or the interval is wide and holds one, the verdict is "unknown": a ratio that
nobody can tell from one is not therefore one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median, quantiles
from typing import Any, Literal, cast, get_args

import torch

from workbench.checkpoint.facts import Facts, said
from workbench.errors import WorkbenchError

Verdict = Literal["baseline", "faster", "slower", "within noise", "unknown"]
STRETCHES = 10
# Equal models differ by about one per cent for good, by where their memory happens to lie; less is no finding.
LEAST_EFFECT = 0.02
# "Within noise" says that two models are equally fast; an interval that reaches further than this cannot say so.
EQUAL_WITHIN = 0.1
# How the reason of an unknown verdict begins where it is other programs.
BUSY = "the machine is busy"


@dataclass(frozen=True)
class Latency:
    """Time for one forward pass of one batch.

    Attributes:
        runtime: Name of the runtime.
        median: Seconds, over the pairs that make the ratio.
        spread: Inter-quartile range over all counted pairs, seconds.
        ratio: `baseline_median / median`: above 1 is faster. 1.0 for a baseline.
        ratio_low: Lower end of its 95 % interval.
        ratio_high: Upper end.
        verdict: What can be said; "baseline" of a baseline.
        batch: Samples in one pass.
        threads: Threads the runtime used.
        device: What it ran on.
        pairs: Number of counted pairs; of all that were tried where too few were undisturbed.
        baseline_median: Seconds that the baseline took in the same pairs as `median`.
        disturbed: Number of pairs that did not count, because something else ran meanwhile.
        reason: Why the verdict is "unknown", "" if it is not.
    """

    runtime: str
    median: float
    spread: float
    ratio: float
    ratio_low: float
    ratio_high: float
    verdict: Verdict
    batch: int
    threads: int
    device: str
    pairs: int
    baseline_median: float
    disturbed: int = 0
    reason: str = ""

    @classmethod
    def read(cls, facts: Any) -> Latency:
        """Return the latency of plain JSON; fields that earlier versions did not write have their defaults.

        Raises:
            WorkbenchError: A field is missing, of another type, NaN or out of range.
        """
        of = Facts(facts, "a latency")
        verdict = of.text("verdict")
        if verdict not in get_args(Verdict):
            raise WorkbenchError(f"a latency's verdict is one of {', '.join(get_args(Verdict))}, not {said(verdict)}")
        times = ("median", "spread", "ratio", "ratio_low", "ratio_high", "baseline_median")
        return cls(
            runtime=of.text("runtime"), verdict=cast(Verdict, verdict), batch=of.whole("batch", 1),
            threads=of.whole("threads", 1), device=of.text("device"), pairs=of.whole("pairs"),
            disturbed=of.whole("disturbed", default=0), reason=of.text("reason", ""),
            **{name: of.number(name, 0.0) for name in times},
        )  # fmt: skip

    @property
    def busy(self) -> bool:
        """Whether nothing is known because the machine did something else."""
        return self.reason.startswith(BUSY)


def summarize(
    runtime: str,
    before: Sequence[float],
    after: Sequence[float],
    batch: int,
    *,
    same: bool = False,
    disturbed: int = 0,
    reason: str = "",
    error: float = 0.0,
) -> Latency:
    """Return the latency record of paired times in seconds.

    Args:
        runtime: Name of the runtime.
        before: The baseline's times, two or more.
        after: The candidate's in the same pairs.
        batch: Samples in one pass.
        same: Whether it is the baseline itself.
        disturbed: Further pairs, which do not count.
        reason: Why these times say nothing, "" if they do.
        error: By what part the ratio may be off beyond what its interval says, because the machine is shared.
    """
    ratios = [b / a for b, a in zip(before, after, strict=True)]
    old, new = _middle(before, after, ratios)
    ratio = old / new
    low, high = (min(ratios), max(ratios)) if reason else ratio_interval(ratios)
    low, high = min(low, ratio) / (1 + error), max(high, ratio) * (1 + error)
    quarter = quantiles(after, n=4)
    verdict: Verdict = "unknown" if reason else verdict_of(low, high)
    if verdict == "unknown" and not reason:
        reason = f"{BUSY} with other programs" if error else "the times scatter too widely"
    return Latency(
        runtime=runtime,
        median=new,
        spread=quarter[2] - quarter[0],
        ratio=1.0 if same else ratio,
        ratio_low=1.0 if same else low,
        ratio_high=1.0 if same else high,
        verdict="baseline" if same else verdict,
        batch=batch,
        threads=torch.get_num_threads(),
        device="cpu",
        pairs=len(ratios),
        baseline_median=new if same else old,
        disturbed=disturbed,
        reason="" if same else reason,
    )


def disturbed_words(count: int, pairs: int) -> str:
    """Return why nothing is known where most pairs were disturbed."""
    return f"{BUSY}, {count} of {pairs} pairs were disturbed"


def verdict_of(low: float, high: float) -> Verdict:
    """Return what an interval of the ratio says."""
    if low > 1 + LEAST_EFFECT:
        return "faster"
    if high < 1 - LEAST_EFFECT:
        return "slower"
    return "within noise" if low >= 1 - EQUAL_WITHIN and high <= 1 + EQUAL_WITHIN else "unknown"


def _middle(before: Sequence[float], after: Sequence[float], ratios: Sequence[float]) -> tuple[float, float]:
    """Return the median times of both over the middle half of the pairs by their ratio."""
    order = sorted(range(len(ratios)), key=ratios.__getitem__)
    quarter = len(order) // 4
    chosen = order[quarter : len(order) - quarter]
    return median(before[place] for place in chosen), median(after[place] for place in chosen)


def ratio_interval(ratios: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % interval of the median of ratios, in the order they were measured.

    Neighbouring pairs share the machine's mood, so they tell less than as many independent ones. The medians of
    ten stretches show how much less: all but the outermost two hold the median 98 times in 100 by their ranks.
    The wider of the two intervals counts.
    """
    low, high = _median_interval(sorted(ratios))
    if len(ratios) < 2 * STRETCHES:
        return low, high
    edges = [round(n * len(ratios) / STRETCHES) for n in range(STRETCHES + 1)]
    medians = sorted(median(ratios[start:end]) for start, end in pairwise(edges))
    return min(low, medians[1]), max(high, medians[-2])


def _median_interval(ordered: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % interval of the median of sorted values, from the binomial of their ranks."""
    n = len(ordered)
    reach = 1.96 * math.sqrt(n) / 2
    return ordered[max(math.floor(n / 2 - reach), 0)], ordered[min(math.ceil(n / 2 + reach), n - 1)]
