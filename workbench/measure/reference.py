"""The baseline's results on a split, sample by sample, which every other model is compared with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypedDict

import torch
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.jobs.progress import Progress
from workbench.measure.evaluator import BATCH, Evaluator
from workbench.measure.score import Score
from workbench.measure.strata import Stratum, stratify
from workbench.steps import State
from workbench.task.batch import Tree, count, join, leaves
from workbench.task.metric import Metric
from workbench.task.named import directed, margins
from workbench.task.samples import Samples

# Outputs of one pass that are held, to try whether a metric judges samples by each other.
KEPT_BYTES = 512 << 20


class Labels(TypedDict):
    """The fields of a `Score` that come from the task and not from a measurement."""

    metric: str
    unit: str
    split: str
    higher_is_better: bool


@dataclass(frozen=True, eq=False)
class Reference:
    """The baseline's results on a split, against which others are compared.

    Attributes:
        split: Name of the split.
        samples: Its data.
        metric: The judgement.
        results: float64 [N], the baseline's result for each sample; of a metric of sums the score of the sample alone,
            0 where it has none; [] scalar where it does not decompose.
        strata: All samples, in parts.
        batch: Samples in one pass.
        sums: float64 [N, K], the baseline's sums for each sample, where the metric is made of sums.
        seen: Outputs and targets of all samples, where the metric does not decompose: other data is drawn from them.
    """

    split: str
    samples: Samples
    metric: Metric
    results: Tensor
    strata: tuple[Stratum, ...]
    batch: int = BATCH
    sums: Tensor | None = None
    seen: tuple[Tree, Tree] | None = None

    @property
    def total(self) -> int:
        """Number of samples."""
        return len(self.samples)

    @property
    def value(self) -> float:
        """The baseline's score."""
        return float(self.results.mean() if self.sums is None else self.metric.total(self.sums))

    @property
    def score(self) -> Score:
        """The baseline's own score, exact; against itself nothing changes, on any data."""
        value = self.value
        return Score(
            value, value, value, self.total, self.total, **self.labels, population_low=0.0, population_high=0.0
        )

    @property
    def labels(self) -> Labels:
        """What scores against this baseline are called."""
        metric = self.metric
        return Labels(metric=metric.name, unit=metric.unit, split=self.split, higher_is_better=metric.higher_is_better)


def refer(
    evaluator: Evaluator,
    state: State,
    metric: Metric,
    split: str = "validation",
    progress: Progress | None = None,
) -> Reference:
    """Return the baseline's results on every sample of the evaluator's split.

    The reference's metric says whether samples can be judged apart: that is tried here, on all of them.

    Raises:
        WorkbenchError: The metric fails on samples, or is not a finite number there; it names them.
        Cancelled: It was told to stop.
    """
    pass_ = _Pass(metric)
    evaluator.survey(state, progress or Progress(), f"scoring {split}", pass_.take)
    metric, values = pass_.finished()
    if not metric.decomposes:
        return Reference(split, evaluator.samples, metric, values, (), evaluator.batch, seen=pass_.all())
    sums = values if values.ndim > 1 else None
    results = metric.alone(values)
    strata = stratify(results, torch.cat(pass_.margins), metric if sums is None else replace(metric, bounds=None))
    return Reference(split, evaluator.samples, metric, results, strata, evaluator.batch, sums)


class _Pass:
    """What one pass over a split shows, batch by batch; outputs are kept while they are small."""

    def __init__(self, metric: Metric) -> None:
        self.metric, self.margins = metric, list[Tensor]()
        self._values: list[Tensor] = []
        self._parts: list[tuple[Tree, Tree, Tensor]] = []
        self._room = KEPT_BYTES

    def take(self, outputs: Tree, targets: Tree, numbers: Tensor) -> None:
        size = sum(value.nbytes for value in (*leaves(outputs), *leaves(targets)))
        if not self.metric.decomposes or size <= self._room or not self._parts:
            self._parts.append((outputs, targets, numbers))
            self._room -= size
        if self.metric.decomposes:
            self._values.append(self.metric.values(outputs, targets, numbers))
            self.margins.append(margins(outputs, targets, self.metric.classes))

    def all(self) -> tuple[Tree, Tree]:
        """Return outputs and targets of all samples."""
        outputs, targets = (join([part[place] for part in self._parts]) for place in range(2))
        return outputs, targets

    def finished(self) -> tuple[Metric, Tensor]:
        """Return the metric as it has to be scored, and what it gives.

        Raises:
            WorkbenchError: It judges samples by each other, and there is too much of them to hold.
        """
        if self.metric.decomposes:
            same = [part for part in self._parts if _shapes(part) == _shapes(self._parts[0])]
            outputs, targets = (join([part[place] for part in same]) for place in range(2))
            metric = directed(self.metric, outputs, targets).settled(outputs, targets)
            if metric.decomposes:
                return metric, metric.joined(self._values)
            if sum(len(numbers) for *_, numbers in self._parts) < sum(len(values) for values in self._values):
                raise WorkbenchError(
                    f"{metric.name} {metric.reason or 'is one value for all samples'}, and the outputs of all of them "
                    f"take more than {KEPT_BYTES >> 20} MB; give a smaller validation split"
                )
            self.metric = metric
        outputs, targets = self.all()
        self.metric = directed(self.metric, outputs, targets)
        return self.metric, self.metric.values(outputs, targets, torch.arange(count(targets)))


def _shapes(part: tuple[Tree, Tree, Tensor]) -> list[tuple[int, ...]]:
    return [tuple(value.shape[1:]) for tree in part[:2] for value in leaves(tree)]
