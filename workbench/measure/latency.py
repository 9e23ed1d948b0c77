"""Latency: two models in turn, in one process, on one runtime, and an honest verdict.

A machine's speed drifts, so single times mean little. Baseline and candidate run as pairs, each first every
other time; the ratio is taken pair by pair, and its interval comes from the order statistics of these ratios
(the distribution-free interval of a median: David and Nagaraja, "Order Statistics", 2003, ch. 7.1).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median, quantiles
from typing import Literal

import torch
from torch import Tensor

from workbench.progress import Progress
from workbench.turn import TURN

Verdict = Literal["baseline", "faster", "slower", "within noise", "unknown"]
Forward = Callable[[tuple[Tensor, ...]], Tensor]
WARM_UP = 3
STRETCHES = 10
# Equal models differ by about one per cent for good, by where their memory happens to lie; less is no finding.
LEAST_EFFECT = 0.02


@dataclass(frozen=True)
class Latency:
    """Time for one forward pass of one batch.

    Attributes:
        runtime: Name of the runtime.
        median: Seconds.
        spread: Inter-quartile range, seconds.
        ratio: Baseline's time over this one's: above 1 is faster. 1.0 for a baseline.
        ratio_low: Lower end of its 95 % interval.
        ratio_high: Upper end.
        verdict: "faster", "slower", "within noise", or "baseline".
        batch: Samples in one pass.
        threads: Threads the runtime used.
        device: What it ran on.
        pairs: Number of counted pairs.
        baseline_median: Seconds that the baseline took in the same pairs.
    """

    runtime: str
    median: float
    spread: float
    ratio: float
    ratio_low: float
    ratio_high: float
    verdict: str
    batch: int
    threads: int
    device: str
    pairs: int
    baseline_median: float


def compare(
    runtime: str,
    baseline: Forward,
    candidate: Forward,
    inputs: tuple[Tensor, ...],
    *,
    seconds: float = 1.0,
    least: int = 15,
    most: int = 400,
    progress: Progress | None = None,
) -> Latency:
    """Return the candidate's latency against the baseline's, from interleaved pairs.

    Args:
        runtime: Name of the runtime that both run on.
        baseline: What to compare with; the same as `candidate` to measure a baseline.
        candidate: What is measured.
        inputs: One batch.
        seconds: About how long to measure.
        least: Pairs that are run however long they take.
        most: Pairs that are enough however fast they are.
        progress: Where progress is told, and cancelling asked.
    """
    progress = progress or Progress()
    for _ in range(WARM_UP):
        baseline(inputs)
        candidate(inputs)
    before: list[float] = []
    after: list[float] = []
    start = time.perf_counter()
    while len(after) < least or (len(after) < most and time.perf_counter() - start < seconds):
        progress.check()
        with TURN:  # nothing else computes while a pair is timed
            if len(after) % 2:
                before.append(_time(baseline, inputs))
                after.append(_time(candidate, inputs))
            else:
                after.append(_time(candidate, inputs))
                before.append(_time(baseline, inputs))
    return summarize(runtime, before, after, len(inputs[0]), same=baseline is candidate)


def _time(forward: Forward, inputs: tuple[Tensor, ...]) -> float:
    start = time.perf_counter()
    forward(inputs)
    return time.perf_counter() - start


def summarize(
    runtime: str, before: Sequence[float], after: Sequence[float], batch: int, *, same: bool = False
) -> Latency:
    """Return the latency record of paired times in seconds."""
    ratios = [b / a for b, a in zip(before, after, strict=True)]
    low, high = ratio_interval(ratios)
    ratio = median(ratios)
    quarter = quantiles(after, n=4)
    verdict = "faster" if low > 1 + LEAST_EFFECT else "slower" if high < 1 - LEAST_EFFECT else "within noise"
    return Latency(
        runtime=runtime,
        median=median(after),
        spread=quarter[2] - quarter[0],
        ratio=1.0 if same else ratio,
        ratio_low=1.0 if same else low,
        ratio_high=1.0 if same else high,
        verdict="baseline" if same else verdict,
        batch=batch,
        threads=torch.get_num_threads(),
        device="cpu",
        pairs=len(ratios),
        baseline_median=median(before),
    )


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
