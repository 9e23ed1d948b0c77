"""Anytime score: a value with a 95 % interval from the first few samples on, exact at the last.

The compressed model is compared with the baseline sample by sample, so that only changed results add to the
uncertainty, and samples are drawn in strata of the baseline's margin, because those near the decision boundary
change first (Neyman allocation: Neyman, "On the Two Different Aspects of the Representative Method", 1934).
Cochran, "Sampling Techniques", 1977, ch. 5, gives the stratified estimate and its finite-population correction,
which makes the interval vanish once every sample was seen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from workbench.metric import Metric, margins
from workbench.progress import Progress
from workbench.samples import Samples

Forward = Callable[[tuple[Tensor, ...]], Tensor]
BATCH = 64
FIRST = 48
# Wider than the normal distribution's 1.96: whoever stops at the first interval that is narrow enough prefers those
# that came out too narrow. At this width 95 % of the intervals that were stopped at hold the whole split's value.
CONFIDENCE_Z = 2.24
# Strata hold these parts of the samples, from the smallest margins on: most changes happen in the first ones.
EDGES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 1.0)


@dataclass(frozen=True)
class Score:
    """How good a model is on one split.

    Attributes:
        value: Estimate of the metric over the whole split.
        low: Lower end of the 95 % interval.
        high: Upper end; equal to `low` when every sample was seen.
        n: Samples seen.
        total: Samples in the split.
        change: Estimate of value minus the baseline's value; 0.0 for a baseline.
        change_low: Lower end of its interval.
        change_high: Upper end.
        metric: Name of the metric.
        unit: "%" where value 1.0 reads as 100 %.
        split: Name of the split.
        higher_is_better: Whether a fall is a loss.
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

    @property
    def exact(self) -> bool:
        """Whether every sample was seen."""
        return self.n == self.total

    @property
    def half_width(self) -> float:
        """The longer arm of the interval, in the unit of `value`: near a bound of the metric the other is cut off."""
        return max(self.high - self.value, self.value - self.low)


@dataclass(frozen=True, eq=False)
class Reference:
    """The baseline's results on a split, against which others are compared.

    Attributes:
        split: Name of the split.
        samples: Its data.
        metric: The judgement.
        results: float64 [N], the baseline's result for each sample; [] scalar where it does not decompose.
        strata: Sample numbers by rising margin, each shuffled: a prefix of one is a random sample of it.
    """

    split: str
    samples: Samples
    metric: Metric
    results: Tensor
    strata: tuple[Tensor, ...]

    @property
    def score(self) -> Score:
        """The baseline's own score, exact."""
        value, total = float(self.results.mean()), len(self.samples)
        return Score(value, value, value, total, total, **_words(self))


def _words(reference: Reference) -> dict[str, Any]:  # the fields of a Score that come from the task
    metric = reference.metric
    return {
        "metric": metric.name,
        "unit": metric.unit,
        "split": reference.split,
        "higher_is_better": metric.higher_is_better,
    }


def refer(
    forward: Forward,
    data: Samples,
    metric: Metric,
    split: str = "validation",
    progress: Progress | None = None,
) -> Reference:
    """Return the baseline's results on every sample of `data`."""
    outputs, targets = _outputs(forward, data, range(len(data)), progress or Progress(), f"scoring {split}")
    if not metric.decomposes:
        return Reference(split, data, metric, torch.as_tensor(metric.judge(outputs, targets)).double(), ())
    order = margins(outputs, targets).argsort(stable=True)
    cuts = sorted({round(edge * len(data)) for edge in EDGES})
    generator = torch.Generator().manual_seed(0)
    strata = [order[low:high] for low, high in pairwise(cuts)]
    shuffled = tuple(part[torch.randperm(len(part), generator=generator)] for part in strata)
    return Reference(split, data, metric, metric.judge(outputs, targets).double(), shuffled)


def _outputs(
    forward: Forward, data: Samples, indices: Sequence[int], progress: Progress, message: str
) -> tuple[Tensor, Tensor]:
    outputs, targets = [], []
    starts = range(0, len(indices), BATCH)
    for start in progress.over(starts, len(starts), message):
        inputs, wanted = data.batch(indices[start : start + BATCH])
        outputs.append(forward(inputs))
        targets.append(wanted)
    return torch.cat(outputs), torch.cat(targets)


def anytime(forward: Forward, reference: Reference, progress: Progress | None = None) -> Iterator[Score]:
    """Yield better and better scores of a model; the last one is exact.

    The first comes after about 48 samples, the following ones after growing numbers of them. Whoever has
    enough stops taking. A metric that does not decompose gives one score, of the whole split.
    """
    progress = progress or Progress()
    if not reference.metric.decomposes:
        yield _whole(forward, reference, progress)
        return
    total = len(reference.samples)
    differences: list[list[Tensor]] = [[] for _ in reference.strata]
    seen = [0] * len(reference.strata)
    wanted = FIRST
    while sum(seen) < total:
        for number, extra in enumerate(_allocate(reference, differences, seen, min(wanted, total) - sum(seen))):
            if extra:
                chosen = reference.strata[number][seen[number] : seen[number] + extra]
                differences[number].append(_difference(forward, reference, chosen, progress))
                seen[number] += extra
        yield _estimate(reference, differences, seen)
        wanted = max(int(sum(seen) * 1.4), sum(seen) + BATCH)


def score(
    forward: Forward,
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
    for found in anytime(forward, reference, progress.silent()):
        progress.update(found.n / found.total, f"scored {found.n} of {found.total}")
        if tolerance and found.half_width <= max(tolerance, relative * abs(found.change)):
            return found
    return found


def _whole(forward: Forward, reference: Reference, progress: Progress) -> Score:
    data = reference.samples
    outputs, targets = _outputs(forward, data, range(len(data)), progress, "scoring the whole split")
    value, base = float(reference.metric.judge(outputs, targets)), float(reference.results)
    change = value - base
    return Score(value, value, value, len(data), len(data), change, change, change, **_words(reference))


def _difference(forward: Forward, reference: Reference, chosen: Tensor, progress: Progress) -> Tensor:
    """Return result minus the baseline's result for the chosen samples, float64 [n]."""
    found = []
    for part in torch.split(chosen, BATCH):
        progress.check()
        inputs, targets = reference.samples.batch(part.tolist())
        found.append(reference.metric.judge(forward(inputs), targets).double() - reference.results[part])
    return torch.cat(found)


def _reach(reference: Reference, differences: Sequence[Sequence[Tensor]]) -> float:
    """Return how far one sample's result may move: the metric's range, or the largest move seen."""
    if reference.metric.bounds is not None:
        return reference.metric.bounds[1] - reference.metric.bounds[0]
    seen = [part.abs().max() for parts in differences for part in parts if len(part)]
    largest = float(torch.stack(seen).max()) if seen else 0.0
    return max(largest, float(reference.results.std(correction=0)))


def _spread(parts: Sequence[Tensor], reach: float) -> float:
    """Return a variance of one stratum that does not vanish because nothing has changed yet.

    One change by the whole reach is added to what was seen, as the rule of succession does.
    """
    values = torch.cat([*parts, torch.tensor([reach], dtype=torch.float64)]) if parts else torch.tensor([reach, 0.0])
    return float(values.var(correction=1)) if len(values) > 1 else reach**2 / 4


def _allocate(
    reference: Reference, differences: Sequence[Sequence[Tensor]], seen: Sequence[int], extra: int
) -> list[int]:
    """Return how many further samples each stratum gets: by size times spread, at least four each at first."""
    left = [len(part) - count for part, count in zip(reference.strata, seen, strict=True)]
    reach = _reach(reference, differences)
    if not any(seen):
        weights = [1.0 if part else 0.0 for part in left]
        target = [max(4.0, extra / len(left))] * len(left)
    else:
        weights = [len(s) * math.sqrt(_spread(d, reach)) for s, d in zip(reference.strata, differences, strict=True)]
        goal = sum(seen) + extra
        target = [goal * weight / sum(weights) - count for weight, count in zip(weights, seen, strict=True)]
    share = [min(max(int(value), 0), rest) for value, rest in zip(target, left, strict=True)]
    # What a full stratum cannot take goes to the others, the most uncertain one first.
    for number in sorted(range(len(left)), key=lambda n: -weights[n]):
        missing = extra - sum(share)
        if missing <= 0:
            break
        share[number] += min(missing, left[number] - share[number])
    return share


def _estimate(reference: Reference, differences: Sequence[Sequence[Tensor]], seen: Sequence[int]) -> Score:
    total, reach = len(reference.samples), _reach(reference, differences)
    change = variance = 0.0
    for stratum, parts, count in zip(reference.strata, differences, seen, strict=True):
        if not count:
            variance += (len(stratum) / total) ** 2 * reach**2 / 4
            continue
        weight = len(stratum) / total
        change += weight * float(torch.cat(list(parts)).mean())
        variance += weight**2 * (1 - count / len(stratum)) * _spread(parts, reach) / count
    wide = CONFIDENCE_Z * math.sqrt(variance)
    # One sample won and one lost in different strata leave a rest of the division, which is no loss.
    change = 0.0 if abs(change) < 1e-12 else change
    base = float(reference.results.mean())
    low, high = reference.metric.bounds or (-math.inf, math.inf)
    return Score(
        value=min(max(base + change, low), high),
        low=min(max(base + change - wide, low), high),
        high=min(max(base + change + wide, low), high),
        n=sum(seen),
        total=total,
        change=change,
        change_low=max(change - wide, low - base),
        change_high=min(change + wide, high - base),
        **_words(reference),
    )
