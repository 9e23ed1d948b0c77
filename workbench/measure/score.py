"""Anytime score: a value with a 95 % interval from the first few samples on, exact at the last.

The compressed model is compared with the baseline sample by sample, so that only changed results add to the
uncertainty. Samples are drawn in strata: those that the baseline gets right apart from those it gets wrong, because
the ones can only be lost and the others only be won, and each by the baseline's margin, because those near the
decision boundary change first (Neyman allocation: Neyman, "On the Two Different Aspects of the Representative
Method", 1934). Cochran, "Sampling Techniques", 1977, ch. 5, gives the stratified estimate and its finite-population
correction, which makes the interval vanish once every sample was seen.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from workbench.jobs.progress import Progress
from workbench.measure.evaluator import BATCH, Evaluator, Predict
from workbench.steps import State
from workbench.task.metric import Metric, margins
from workbench.task.samples import Samples


@dataclass(frozen=True)
class Looks:
    """How a score is looked at while it refines.

    Intervals are wider than the normal distribution's 1.96 makes them, because whoever looks again and again may
    stop when they like. Pocock, "Group Sequential Methods in the Design and Analysis of Clinical Trials", 1977, gives
    2.3 for three looks and 2.56 for ten; the variances are estimates too, so a little more is needed. Found by
    simulation: all looks together cover 97 % of a ResNet's edits, and 90 % of the worst population made up for it.

    Attributes:
        first: Samples at the first look.
        z: Half of the interval's width, in standard errors.
    """

    first: int
    z: float


# Somebody watches every look, or only the last one is told.
WATCHED, TOLD = Looks(48, 2.6), Looks(256, 2.3)
# Samples that are added to what was seen in a stratum, at each end of what is possible; without them the interval
# would be nothing as long as nothing has changed.
DOUBT = 1.0
LEAST = 3
# A look sees this much more than the one before; where the aim is known, as much as it seems to need.
GROWTH = (1.25, 2.0)
# Strata hold these parts of the samples, from the smallest margins on: most changes happen in the first ones.
EDGES_RIGHT = (0.0, 0.05, 0.2, 1.0)
EDGES_WRONG = (0.0, 1.0)


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
class Stratum:
    """Samples that are likely to behave alike.

    Attributes:
        numbers: int64 [n], shuffled, so that the first of them are a random sample of all.
        low: The most that one of them can lose against the baseline, as a difference; -inf if there is no limit.
        high: The most that one can gain.
    """

    numbers: Tensor
    low: float = -math.inf
    high: float = math.inf

    def __len__(self) -> int:
        return len(self.numbers)


@dataclass(frozen=True, eq=False)
class Reference:
    """The baseline's results on a split, against which others are compared.

    Attributes:
        split: Name of the split.
        samples: Its data.
        metric: The judgement.
        results: float64 [N], the baseline's result for each sample; [] scalar where it does not decompose.
        strata: All samples, in parts.
        batch: Samples in one pass.
    """

    split: str
    samples: Samples
    metric: Metric
    results: Tensor
    strata: tuple[Stratum, ...]
    batch: int = BATCH

    @property
    def total(self) -> int:
        """Number of samples."""
        return len(self.samples)

    @property
    def score(self) -> Score:
        """The baseline's own score, exact."""
        value = float(self.results.mean())
        return Score(value, value, value, self.total, self.total, **_words(self))


def _words(reference: Reference) -> dict[str, Any]:  # the fields of a Score that come from the task
    metric = reference.metric
    return {
        "metric": metric.name,
        "unit": metric.unit,
        "split": reference.split,
        "higher_is_better": metric.higher_is_better,
    }


def refer(
    evaluator: Evaluator,
    state: State,
    metric: Metric,
    split: str = "validation",
    progress: Progress | None = None,
) -> Reference:
    """Return the baseline's results on every sample of the evaluator's split."""
    outputs, targets = evaluator.survey(state, progress or Progress(), f"scoring {split}")
    results = torch.as_tensor(metric.judge(outputs, targets)).double()
    strata = stratify(results, margins(outputs, targets), metric) if metric.decomposes else ()
    return Reference(split, evaluator.samples, metric, results, strata, evaluator.batch)


def stratify(results: Tensor, margin: Tensor, metric: Metric, seed: int = 0) -> tuple[Stratum, ...]:
    """Return the strata of a baseline with these results and margins, each [N]."""
    generator = torch.Generator().manual_seed(seed)
    least, most = metric.bounds or (-math.inf, math.inf)
    best, worst = results >= most, results <= least
    strata = []
    for chosen, edges in ((best, EDGES_RIGHT), (worst, EDGES_WRONG), (~best & ~worst, EDGES_RIGHT)):
        numbers = chosen.nonzero().flatten()
        order = numbers[margin[numbers].argsort(stable=True)]
        for low, high in pairwise(sorted({round(edge * len(order)) for edge in edges})):
            part = order[low:high][torch.randperm(high - low, generator=generator)]
            strata.append(Stratum(part, float((least - results[part]).min()), float((most - results[part]).max())))
    return tuple(strata)


@dataclass
class _Seen:
    """What is known of one stratum: the differences from the baseline of its first samples."""

    stratum: Stratum
    count: int = 0
    total: float = 0.0
    squares: float = 0.0
    largest: float = 0.0

    @property
    def left(self) -> int:
        return len(self.stratum) - self.count

    def take(self, differences: Tensor) -> None:
        self.count += len(differences)
        self.total += float(differences.sum())
        self.squares += float(differences.square().sum())
        self.largest = max(self.largest, float(differences.abs().max()))

    def variance(self, reach: float, doubt: float) -> float:
        """Return a variance that does not vanish because nothing, or everything, has changed so far.

        As the rule of succession does, `doubt` samples at each end of what is possible are added to those seen.
        """
        low, high = max(self.stratum.low, -reach), min(self.stratum.high, reach)
        count = self.count + 2 * doubt
        total, squares = self.total + doubt * (low + high), self.squares + doubt * (low**2 + high**2)
        return max(squares - total**2 / count, 0.0) / max(count - 1, 1) if count else 0.0


@dataclass
class Sampling:
    """A score in the making: which samples were seen, and what they showed."""

    reference: Reference
    parts: list[_Seen]
    looks: Looks

    @classmethod
    def of(cls, reference: Reference, looks: Looks = WATCHED, seen: Sequence[Sequence[float]] = ()) -> Sampling:
        """Return one that has seen nothing, or what `facts` of another says."""
        parts = [_Seen(stratum) for stratum in reference.strata]
        for part, (count, *sums) in zip(parts, seen, strict=False):
            part.count, (part.total, part.squares, part.largest) = int(count), sums
        return cls(reference, parts, looks)

    def facts(self) -> tuple[tuple[float, ...], ...]:
        """Return what was seen as plain numbers."""
        return tuple((part.count, part.total, part.squares, part.largest) for part in self.parts)

    @property
    def count(self) -> int:
        """Samples seen."""
        return sum(part.count for part in self.parts)

    def look(self, predict: Predict, wanted: int, progress: Progress) -> Score:
        """See `wanted` samples in all, and return the score."""
        shares = self._allocate(min(wanted, self.reference.total) - self.count)
        chosen = [part.stratum.numbers[part.count : part.count + n] for part, n in zip(self.parts, shares, strict=True)]
        differences = []
        for numbers in torch.split(torch.cat(chosen), self.reference.batch):
            progress.check()
            outputs, targets = predict(numbers)
            judged = self.reference.metric.judge(outputs, targets).double()
            differences.append(judged - self.reference.results[numbers])
        for part, found in zip(self.parts, torch.split(torch.cat(differences), shares), strict=True):
            if len(found):
                part.take(found)
        return self.estimate()

    def estimate(self) -> Score:
        """Return the score of what was seen."""
        reference, total = self.reference, self.reference.total
        change = sum(len(p.stratum) / total * p.total / p.count for p in self.parts if p.count)
        # One sample won and one lost in different strata leave a rest of the division, which is no loss.
        change = 0.0 if abs(change) < 1e-12 else change
        wide = self.looks.z * math.sqrt(self._variance())
        # What was not seen cannot lose or gain more than all of it.
        least = sum(p.total + p.left * p.stratum.low if p.left else p.total for p in self.parts) / total
        most = sum(p.total + p.left * p.stratum.high if p.left else p.total for p in self.parts) / total
        low, high = max(change - wide, least), min(change + wide, most)
        base = float(reference.results.mean())
        if self.count == total:
            low = high = change
        return Score(base + change, base + low, base + high, self.count, total, change, low, high, **_words(reference))

    def needed(self, half_width: float) -> int:
        """Return how many samples the interval seems to need for this half-width."""
        total, count = self.reference.total, self.count
        if half_width <= 0:
            return total
        # Two parts of the variance fall at their own pace: what was seen to spread with the number of samples, what
        # was added for doubt with its square.
        seen = [(len(p.stratum) / total, p.variance(self._reach(), 0.0)) for p in self.parts]
        spread = sum(share * math.sqrt(variance) for share, variance in seen) ** 2
        finite = sum(share * variance for share, variance in seen) / total
        doubt = max(self._variance() + finite - spread / count, 0.0) * count**2
        goal = (half_width / self.looks.z) ** 2 + finite
        return math.ceil((spread + math.sqrt(spread**2 + 4 * doubt * goal)) / (2 * goal))

    def _variance(self) -> float:
        total, variance = self.reference.total, 0.0
        for part in self.parts:
            weight = len(part.stratum) / total
            open_share = part.left / len(part.stratum) / part.count if part.count else 1.0
            variance += weight**2 * open_share * self._spread(part)
        return variance

    def _spread(self, part: _Seen) -> float:
        """Return one stratum's variance, with doubt."""
        return part.variance(self._reach(), DOUBT)

    def _reach(self) -> float:
        """Return how far one sample's result may move: the metric's range, or the largest move seen."""
        bounds = self.reference.metric.bounds
        if bounds is not None:
            return bounds[1] - bounds[0]
        return max(*(part.largest for part in self.parts), float(self.reference.results.std(correction=0)))

    def _allocate(self, extra: int) -> list[int]:
        """Return how many further samples each stratum gets: by size times spread, at least a few each."""
        weights = [len(p.stratum) * math.sqrt(self._spread(p)) for p in self.parts]
        goal = self.count + extra
        if self.count:
            target = [goal * weight / sum(weights) - p.count for weight, p in zip(weights, self.parts, strict=True)]
        else:
            spare = max(extra - LEAST * len(self.parts), 0)
            roots = [math.sqrt(len(p.stratum)) for p in self.parts]
            target = [LEAST + spare * root / sum(roots) for root in roots]
        share = [min(max(int(value), 0), p.left) for value, p in zip(target, self.parts, strict=True)]
        # Rounding, and strata that had enough before, may have taken too much together.
        while sum(share) > extra:
            most = max(range(len(share)), key=lambda n: share[n])
            share[most] -= min(sum(share) - extra, share[most])
        # What a full stratum cannot take goes to the others, the most uncertain one first.
        for number in sorted(range(len(share)), key=lambda n: -weights[n]):
            missing = extra - sum(share)
            share[number] += min(missing, self.parts[number].left - share[number])
        return share


def anytime(
    predict: Predict,
    reference: Reference,
    progress: Progress | None = None,
    *,
    tolerance: float = 0.0,
    relative: float = 0.0,
    looks: Looks = WATCHED,
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
        found = sampling.look(predict, wanted, progress)
        yield found
        wanted = next_look(sampling, found, tolerance, relative)


def next_look(sampling: Sampling, found: Score, tolerance: float = 0.0, relative: float = 0.0) -> int:
    """Return how many samples the next look should have seen: what the aim seems to need, in bounded steps."""
    enough = max(tolerance, relative * abs(found.change))
    needed = sampling.needed(enough) if enough else found.total
    low, high = (max(math.ceil(found.n * growth), found.n + sampling.reference.batch) for growth in GROWTH)
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
    for found in anytime(predict, reference, progress.silent(), tolerance=tolerance, relative=relative, looks=TOLD):
        progress.update(found.n / found.total, f"scored {found.n} of {found.total}")
        if excess(found, tolerance, relative) <= 1:
            return found
    return found


def excess(found: Score, tolerance: float, relative: float = 0.0) -> float:
    """Return how many times wider than enough an interval is; at most 1.0 if it is narrow enough.

    Args:
        found: The score; an exact one is always enough.
        tolerance: Half-width that is enough; 0 asks for every sample.
        relative: A half-width of this part of the change is enough too.
    """
    if found.exact:
        return 0.0
    enough = max(tolerance, relative * abs(found.change))
    return found.half_width / enough if enough and tolerance else float("inf")


def whole(predict: Predict, reference: Reference, progress: Progress) -> Score:
    """Return the score of a metric that does not decompose, from all samples at once."""
    parts = []
    for numbers in torch.split(torch.arange(reference.total), reference.batch):
        progress.update(int(numbers[0]) / reference.total, "scoring the whole split")
        parts.append(predict(numbers))
    outputs, targets = (torch.cat(values) for values in zip(*parts, strict=True))
    value, base = float(reference.metric.judge(outputs, targets)), float(reference.results)
    change, total = value - base, reference.total
    return Score(value, value, value, total, total, change, change, change, **_words(reference))
