"""The baseline's results on a split, sample by sample, which every other model is compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

import torch
from torch import Tensor

from workbench.jobs.progress import Progress
from workbench.measure.evaluator import BATCH, Evaluator
from workbench.measure.score import Score
from workbench.measure.strata import Stratum, stratify
from workbench.steps import State
from workbench.task.metric import Metric, margins
from workbench.task.samples import Samples


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
        """The baseline's own score, exact; against itself nothing changes, on any data."""
        value = float(self.results.mean())
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
    outputs, targets = evaluator.survey(state, progress or Progress(), f"scoring {split}")
    metric = metric.settled(outputs, targets)
    results = metric.values(outputs, targets, torch.arange(len(targets)))
    strata = stratify(results, margins(outputs, targets), metric) if metric.decomposes else ()
    return Reference(split, evaluator.samples, metric, results, strata, evaluator.batch)
