"""The loops around sampling: look again and again, or until the interval is narrow enough."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from workbench.jobs.progress import Progress
from workbench.measure.evaluator import Predict
from workbench.measure.reference import Reference
from workbench.measure.resampling import half_samples
from workbench.measure.sampling import FINAL_LOOK, REPEATED_LOOKS, Looks, Sampling
from workbench.measure.score import Score
from workbench.task.batch import join

# A look sees this much more than the one before; where the tolerance is known, as much as it seems to need.
GROWTH = (1.25, 2.0)


def anytime(
    predict: Predict,
    reference: Reference,
    progress: Progress | None = None,
    *,
    tolerance: float = 0.0,
    relative: float = 0.0,
    looks: Looks = REPEATED_LOOKS,
) -> Iterator[Score]:
    """Yield better and better scores of a model; the last one is exact.

    The first comes after a few dozen samples, the following ones after growing numbers of them: as many as a half-width
    of `tolerance` (or of `relative` times the change, if that is more) seems to need, where these are given. Whoever
    has enough stops taking. A metric that does not decompose gives one score, of the whole split.
    """
    progress = progress or Progress()
    if not reference.metric.decomposes:
        yield whole(predict, reference, progress)
        return
    sampling, wanted = Sampling.of(reference, looks), looks.first
    while sampling.count < reference.total:
        looked = sampling.look(predict, wanted, progress)
        yield looked
        wanted = next_look(sampling, looked, tolerance, relative)


def next_look(sampling: Sampling, looked: Score, tolerance: float = 0.0, relative: float = 0.0) -> int:
    """Return how many samples the next look should have seen: what the tolerance seems to need, in bounded steps."""
    enough = max(tolerance, relative * abs(looked.change))
    needed = sampling.needed(enough) if enough else looked.total
    low, high = (max(math.ceil(looked.n * growth), looked.n + sampling.reference.batch) for growth in GROWTH)
    return min(max(needed, low), high)


def score(
    predict: Predict,
    reference: Reference,
    tolerance: float = 0.0,
    progress: Progress | None = None,
    *,
    relative: float = 0.0,
) -> Score:
    """Return the score once its interval is narrower than ±`tolerance`, exact for 0.

    Where `relative` is given, an interval of ±`relative` times the change from the baseline is narrow enough
    too: a large change needs no precision.
    """
    progress = progress or Progress()
    for looked in anytime(
        predict, reference, progress.silent(), tolerance=tolerance, relative=relative, looks=FINAL_LOOK
    ):
        progress.update(looked.n / looked.total, f"scored {looked.n} of {looked.total}")
        if excess(looked, tolerance, relative) <= 1:
            return looked
    return looked


def excess(looked: Score, tolerance: float, relative: float = 0.0) -> float:
    """Return how many times wider than enough an interval is; at most 1.0 if it is narrow enough.

    Args:
        looked: The score; an exact one is always enough.
        tolerance: Half-width that is enough; 0 asks for every sample.
        relative: A half-width of this part of the change is enough too.
    """
    if looked.exact:
        return 0.0
    enough = max(tolerance, relative * abs(looked.change))
    return looked.half_width / enough if enough and tolerance else float("inf")


def whole(predict: Predict, reference: Reference, progress: Progress) -> Score:
    """Return the score of a metric that does not decompose, from all samples at once.

    What it means for other data is told by drawing samples anew (`measure/resampling.py`).

    Raises:
        WorkbenchError: The metric fails, or is not a finite number.
    """
    parts = []
    for numbers in torch.split(torch.arange(reference.total), reference.batch):
        progress.update(int(numbers[0]) / reference.total, "scoring the whole split")
        parts.append(predict(numbers))
    outputs, targets = (join([part[place] for part in parts]) for place in range(2))
    value = reference.metric.score(outputs, targets, torch.arange(reference.total))
    change, total = value - reference.value, reference.total
    ends = half_samples(reference, outputs, change, progress)
    return Score(value, value, value, total, total, change, change, change, **reference.labels, **ends)
