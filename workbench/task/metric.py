"""How a task judges outputs: a number per sample where that is possible, sums of samples, or one for the whole split.

Three kinds. A *mean* is a value of each sample on its own: accuracy, squared error. *Sums* are added over samples
before they are put together: perplexity by tokens, F1 and mIoU by counts, word errors by words. What is neither is
scored *whole*: AUC, mAP, retrieval. Which kind a function is, is tried and not assumed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from workbench.errors import WorkbenchError, first_line
from workbench.task.batch import Tree, count, join, take
from workbench.task.classes import Classes
from workbench.task.device import CPU, moved

Judge = Callable[[Tree, Tree], Tensor]
Combine = Callable[[Tensor], Tensor]
Limits = Callable[[Tensor], tuple[Tensor, Tensor]]
# From outputs and targets to what each sample adds, and from what samples add to a score, [].
Pieces = tuple[Callable[[Tree, Tree], Sequence[Any]], Callable[[Sequence[Any]], Tensor]]
NAMED = 5  # numbers of failing samples that an error lists
# What rounding may change when the same samples are judged in other batches, as a part of the largest result.
ROUNDING = 1e-4


@dataclass(frozen=True)
class Metric:
    """A judgement of model outputs against targets.

    Attributes:
        name: What people read, such as "top-1 accuracy".
        judge: `(outputs [n, ...], targets [n, ...]) -> [n]` one result per sample; `[n, K]` sums of each, where
            `combine` is given; or a scalar for the whole where `decomposes` is false.
        unit: "%" for fractions that are shown in per cent, else the unit of the value.
        higher_is_better: Whether compression is feared to lower it.
        bounds: Smallest and largest value a sample can have (with `combine`: the score), None where there is no limit;
            an end may be infinite. Only between two finite ends can an interval be given before every sample was seen,
            and for other data.
        decomposes: Whether the score of a split is made of results of its samples. If not, it is scored whole.
        reason: Why it is scored whole, where that was found out by trying, "" else.
        classes: How classes lie in outputs and targets, None where there are none.
        loss: Name of the loss that trains it, "" where none is known.
        combine: `sums [..., K] -> [...]` makes the score of sums over samples; None for the mean of results.
        limits: From the sums of samples [n, K] the least and the most that these can be for another model, [n, K] each;
            what targets alone decide, such as a number of tokens, is the same in both. None where there is no limit.
        remake: Makes the same metric for classes that lie otherwise, None where it asks `classes` itself.
        assumed: What was assumed of it and should be said, "" for nothing.
        pieces: Of a metric that is scored whole, where most of the work is done for each sample alone: that work, and
            what puts it together. Intervals score the same samples in hundreds of ways.
    """

    name: str
    judge: Judge
    unit: Literal["%", ""] = ""
    higher_is_better: bool = True
    bounds: tuple[float, float] | None = None
    decomposes: bool = True
    reason: str = ""
    classes: Classes | None = None
    loss: str = ""
    combine: Combine | None = None
    limits: Limits | None = None
    remake: Callable[[Classes], Metric] | None = None
    assumed: str = ""
    pieces: Pieces | None = None

    @classmethod
    def of(
        cls, metric: str | Metric | Judge, classes: Classes | None = None, higher_is_better: bool | None = None
    ) -> Metric:
        """Return the metric of a name, "top3" and the like too, or wrap a function.

        A function that gives a value per sample decomposes; one that gives a scalar is scored whole. Which of the two
        it is shows when it is tried.

        Args:
            metric: One of `NAMES`, a `Metric`, or `f(outputs, targets)`.
            classes: How classes lie in outputs and targets; by default as shapes tell.
            higher_is_better: Of a function; None leaves it to be found out by trying.

        Raises:
            WorkbenchError: The name is not known.
        """
        if isinstance(metric, Metric):
            return metric
        if callable(metric):
            own = cls(getattr(metric, "__name__", type(metric).__name__), metric)
            if higher_is_better is None:
                return replace(own, assumed=UNSAID)
            return replace(own, higher_is_better=higher_is_better)
        among = re.fullmatch(r"top-?([1-9]\d*)", metric)
        if among is not None:
            return NAMES["top"](classes or Classes(), int(among[1]))
        if metric in NAMES and metric != "top":
            return NAMES[metric](classes or Classes())
        known = ", ".join([*(name for name in NAMES if name != "top"), "top5 and the like"])
        raise WorkbenchError(f"metric {metric!r} is not known; known are {known}, or give a function")

    @property
    def note(self) -> str:
        """What people should know of how it is scored, "" if it is as usual."""
        why = self.reason or "is one value for the whole split"
        whole = "" if self.decomposes else f"{self.name} {why}: all samples are scored at once"
        return "; ".join(filter(None, (whole, self.assumed)))

    @property
    def bounded(self) -> bool:
        """Whether both the smallest and the largest value of a sample are known."""
        return self.bounds is not None and all(math.isfinite(end) for end in self.bounds)

    def clamp(self, value: float) -> float:
        """Return the possible value that is nearest."""
        return value if self.bounds is None else min(max(value, self.bounds[0]), self.bounds[1])

    def values(self, outputs: Tree, targets: Tree, numbers: Tensor) -> Tensor:
        """Return finite float64 results: of each sample [n], sums of each [n, K], or [] where it does not decompose.

        Args:
            outputs: Of the model, [n, ...].
            targets: What is right, [n, ...].
            numbers: The samples' places in the split, [n], by which errors name them.

        Raises:
            WorkbenchError: The metric raises an error, gives no number, or one that is NaN or infinite; it says for how
                many samples and for which.
        """
        outputs, targets = moved(outputs, CPU), moved(targets, CPU)  # exact, and the same wherever a model runs
        try:
            judged = torch.as_tensor(self.judge(outputs, targets)).double()
        except Exception as error:  # a user's metric may raise anything
            failing = numbers[[self._fails(outputs, targets, place) for place in range(len(numbers))]]
            where = _named(failing, len(numbers)) if len(failing) else f"{len(numbers)} samples judged together"
            raise WorkbenchError(f"{self.name} fails on {where}: {first_line(error)}") from error
        if not self.decomposes:
            if not judged.isfinite().all():
                raise WorkbenchError(f"{self.name} of the whole split is {_words(judged)}, which is no score")
            return judged.mean()
        sums = self.combine is not None and judged.ndim == 2
        if (len(judged) if sums else judged.numel()) != len(numbers):
            raise WorkbenchError(f"{self.name} gives shape {tuple(judged.shape)} for {len(numbers)} samples")
        judged = judged if sums else judged.reshape(-1)
        broken = ~judged.isfinite().reshape(len(numbers), -1).all(1)
        if broken.any():
            where = _named(numbers[broken], len(numbers))
            raise WorkbenchError(f"{self.name} is {_words(judged)} on {where}; it must be a finite number for each")
        return judged

    def laid_out(self, classes: Classes) -> Metric:
        """Return the same for classes that lie as `classes` says."""
        return replace(self, classes=classes) if self.remake is None else self.remake(classes)

    def score(self, outputs: Tree, targets: Tree, numbers: Tensor) -> float:
        """Return the one score of samples; arguments and errors as of `values`."""
        return float(self.total(self.values(outputs, targets, numbers)))

    def total(self, values: Tensor) -> Tensor:
        """Return the score, [], of what `values` gave for all samples.

        Raises:
            WorkbenchError: Sums make no number, as where nothing counts.
        """
        if self.combine is None or values.ndim < 2:
            return values.mean()
        score = self.combine(values.sum(0)).double()
        if not score.isfinite():
            raise WorkbenchError(f"{self.name} of {len(values)} samples is {_words(score)}, which is no score")
        return score

    def alone(self, values: Tensor) -> Tensor:
        """Return a result for each sample, [n], of what `values` gave: of sums its own score, 0 where it has none."""
        if values.ndim < 2 or self.combine is None:
            return values
        return self.combine(values).double().nan_to_num(0.0, 0.0, 0.0)

    def subset_scores(self, outputs: Tree, targets: Tree) -> Callable[[Tensor], float]:
        """Return a function from numbers of samples, [n], to their score; it raises errors as of `values`."""
        if self.pieces is None:
            return lambda numbers: self.score(take(outputs, numbers), take(targets, numbers), numbers)
        apart, together = self.pieces
        every = apart(outputs, targets)

        def score(numbers: Tensor) -> float:
            value = together([every[number] for number in numbers.tolist()])
            if not value.isfinite():
                raise WorkbenchError(f"{self.name} of {len(numbers)} samples is {_words(value)}, which is no score")
            return float(value)

        return score

    def score_of(self, parts: Sequence[tuple[Tree, Tree, Tensor]]) -> float:
        """Return the one score of batches of outputs, targets and numbers; errors as of `values`."""
        if not self.decomposes:
            outputs, targets, numbers = (join([part[place] for part in parts]) for place in range(3))
            return self.score(outputs, targets, numbers)
        return float(self.total(self.joined([self.values(*part) for part in parts])))

    def joined(self, values: Sequence[Tensor]) -> Tensor:
        """Return the values of several batches as one: results [n], or sums [n, K] where any batch has sums."""
        if any(part.ndim == 2 for part in values):
            # What a batch gives as means has counts of one.
            return torch.cat([part if part.ndim == 2 else torch.stack([part, torch.ones_like(part)], 1)
                              for part in values])  # fmt: skip
        return torch.cat(list(values))

    def _fails(self, outputs: Tree, targets: Tree, place: int) -> bool:
        try:
            one = torch.tensor([place])
            self.judge(take(outputs, one), take(targets, one))
        except Exception:  # as above
            return True
        return False

    def settled(self, outputs: Tree, targets: Tree) -> Metric:
        """Return the metric as it has to be scored: whole, if a sample's result depends on what it is judged with.

        A function that gives a number a sample may still compare samples with each other, as retrieval within a batch
        does. So it is tried: halves, every other sample and single samples must give what all together give.

        Args:
            outputs: Of a model that the metric does not fail on, [n, ...]; the more samples, the more is found out.
            targets: What is right, [n, ...].
        """
        if not self.decomposes:
            return self
        try:
            judged = torch.as_tensor(self.judge(outputs, targets))
        except Exception:  # `values` says on which samples
            return self
        total = count(targets)
        if judged.ndim == 0 and total > 1:
            return replace(self, decomposes=False)
        sums = self.combine is not None and judged.ndim == 2
        if (len(judged) if sums else judged.numel()) != total:
            return self
        together = judged.double().reshape(total, -1)
        for part in _parts(total):
            try:
                some = torch.as_tensor(self.judge(take(outputs, part), take(targets, part)))
            except Exception:  # a user's metric may raise anything
                return replace(self, decomposes=False, reason="cannot judge some of the samples without the others")
            apart = some.double().reshape(len(part), -1) if some.numel() % len(part) == 0 else some[None].double()
            if apart.shape != together[part].shape and sums:
                continue  # a batch in which all counts is judged by means
            if apart.shape != together[part].shape or not _close(apart, together[part]):
                return replace(self, decomposes=False, reason="judges samples by others of the same batch")
        return self


UNSAID = "whether higher is better was not said"
# What makes the metrics that have a name; `named` puts them here.
NAMES: dict[str, Callable[..., Metric]] = {}


def _parts(count: int) -> Iterator[Tensor]:
    """Yield numbers of samples to judge apart: halves, odd and even ones, single ones."""
    every = torch.arange(count)
    if count > 1:
        yield from (every[: count // 2], every[count // 2 :], every[::2], every[1::2])
        yield from (every[place : place + 1] for place in sorted({0, count // 2, count - 1}))


def _close(one: Tensor, other: Tensor) -> bool:
    near = ROUNDING * float(other[other.isfinite()].abs().max()) if other.isfinite().any() else 0.0
    return torch.allclose(one, other, rtol=ROUNDING, atol=near, equal_nan=True)


def _named(numbers: Tensor, total: int) -> str:
    """Return samples as text: how many there are, and the numbers of the first ones."""
    first = ", ".join(str(int(number)) for number in numbers[:NAMED])
    more = ", …" if len(numbers) > NAMED else ""
    return f"{len(numbers)} of {total} samples (number{'s' if len(numbers) > 1 else ''} {first}{more})"


def _words(judged: Tensor) -> str:
    return "not a number (NaN)" if judged.isnan().any() else "infinite"
