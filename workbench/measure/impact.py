"""Who pays for compression: what each class lost, and which samples are predicted otherwise than before.

Hooker et al.: "What Do Compressed Deep Neural Networks Forget?", 2019: a mean that holds can hide a class that broke.
Both models see every sample of the split, so nothing is estimated about the split itself. The intervals say what the
same change means for new samples, by `workbench/measure/population.py`. As all classes are looked at, they hold
together (Bonferroni): with 10 classes each is one of 99.5 %.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import NormalDist

import torch
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.jobs.progress import Progress
from workbench.measure import Reference
from workbench.measure.evaluator import Predict
from workbench.measure.population import mean_interval
from workbench.task.batch import Tree, count, join, take
from workbench.task.classes import Classes
from workbench.task.metric import Metric
from workbench.task.named import metric_of

LEVEL = 0.95
# In the metric's unit: a mean that lost less holds, a class that lost so much more than the mean may be broken.
HOLDS, BREAKS = 0.01, 0.02


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a model says of every sample of a split.

    Attributes:
        labels: int64 [N], the predicted class; [0] where the task has no class for each sample.
        sure: float32 [N], the softmax probability of it; [0] likewise.
        results: float64 [N], the metric's judgement; NaN where a metric of the whole split has none of a sample alone,
            such as a ranking of labels that are all the same.
        targets: As the task has them, [N, ...].
    """

    labels: Tensor
    sure: Tensor
    results: Tensor
    targets: Tree


@dataclass(frozen=True)
class ClassChange:
    """How the score of one class changed, in the unit of the metric.

    Attributes:
        label: Its number.
        name: What people read.
        count: Samples of it.
        before: Score of the baseline.
        after: Score now.
        change: `after` less `before`.
        low: Lower end of the change's interval for new samples; the intervals of all classes hold together.
        high: Upper end.
        broken: Whether the class is worse by its whole interval, and by at least 2 points more than the mean.
    """

    label: int
    name: str
    count: int
    before: float
    after: float
    change: float
    low: float
    high: float
    broken: bool = False


@dataclass(frozen=True)
class ChangedSample:
    """A sample that is predicted otherwise; where there are no classes, one whose result is another.

    Attributes:
        number: Its place in the split.
        target: Its class, -1 where there is none.
        before: The class that the baseline predicts, -1 where there is none.
        after: The class that is predicted now.
        sure_before: Probability that the baseline gives to its prediction, 0 where there is none.
        sure_after: Likewise now.
        result_before: The metric's judgement of the baseline.
        result_after: The metric's judgement now.
    """

    number: int
    target: int
    before: int
    after: int
    sure_before: float
    sure_after: float
    result_before: float
    result_after: float


@dataclass(frozen=True)
class Impact:
    """What compression did to classes and samples.

    Attributes:
        metric: Name of what is judged.
        unit: "%" where 1.0 reads as 100 %.
        higher_is_better: Whether a fall is a loss.
        split: Name of the split.
        total: Samples in it; each was seen.
        before: Score of the baseline over all samples.
        after: Score now.
        classes: Those that have samples, by their numbers; () where samples have no class.
        samples: The changed ones, the worst first.
    """

    metric: str
    unit: str
    higher_is_better: bool
    split: str
    total: int
    before: float
    after: float
    classes: tuple[ClassChange, ...]
    samples: tuple[ChangedSample, ...]

    @property
    def loss(self) -> float:
        """How much worse the mean is, in the metric's unit; negative where it is better."""
        return (self.before - self.after) * (1 if self.higher_is_better else -1)

    @property
    def holds(self) -> bool:
        """Whether the mean lost less than 1 point (a hundredth of the score where there are no per cent)."""
        return self.loss < HOLDS * _scale(self.unit, self.before)

    @property
    def broken(self) -> tuple[ClassChange, ...]:
        """The classes that broke, the worst first."""
        sign = 1 if self.higher_is_better else -1
        return tuple(
            sorted((change for change in self.classes if change.broken), key=lambda change: sign * change.change)
        )


def predictions(predict: Predict, reference: Reference, progress: Progress) -> Predictions:
    """Return what a model says of every sample.

    Args:
        predict: From sample numbers [n] to outputs and targets.
        reference: Its split, metric and batch.
        progress: Who is told, and may stop it.

    Raises:
        WorkbenchError: The metric gives one value for the whole split, none for a sample alone, and samples have no
            class.
        Cancelled: It was told to stop.
    """
    labels, sure, results, seen = [], [], [], []
    for numbers in torch.split(torch.arange(reference.total), reference.batch):
        progress.update(int(numbers[0]) / reference.total, f"{int(numbers[0])} of {reference.total} samples")
        outputs, targets = predict(numbers)
        classes = _classes_of(reference.metric, outputs, targets)
        try:
            results.append(_results(reference.metric, classes, outputs, targets, numbers))
        except WorkbenchError as error:
            if reference.metric.decomposes or classes is not None:
                raise
            raise WorkbenchError(
                f"{error}. Samples have no class either, so that none can be told from others"
            ) from error
        seen.append(targets)
        if classes is not None:
            best = classes.aligned(outputs, targets).scores[:, 0].float().softmax(-1).max(-1)
            labels.append(best.indices)
            sure.append(best.values)
    progress.update(1.0)
    nothing, judged = torch.zeros(0), torch.cat(results)
    if judged.isnan().all():
        raise WorkbenchError(
            f"{reference.metric.name} has no value for any sample alone, and samples have no class either, so that "
            "none can be told from others"
        )
    return Predictions(
        torch.cat(labels) if labels else nothing.long(), torch.cat(sure) if sure else nothing, judged, join(seen)
    )


def compare(before: Predictions, after: Predictions, reference: Reference, names: tuple[str, ...] = ()) -> Impact:
    """Return what differs between two models on one split.

    Args:
        before: The baseline's.
        after: The compressed model's.
        reference: Their split and metric.
        names: Of the classes.
    """
    metric = _judge(reference.metric, Classes() if len(before.labels) else None)
    mean = float((after.results - before.results).nanmean())
    return Impact(
        metric.name,
        metric.unit,
        metric.higher_is_better,
        reference.split,
        reference.total,
        float(before.results.nanmean()),
        float(after.results.nanmean()),
        _classes(before, after, metric, mean, names) if len(before.labels) else (),
        _changed(before, after, metric),
    )


def _classes_of(metric: Metric, outputs: Tree, targets: Tree) -> Classes | None:
    """Return how classes lie where each sample has one, else None: pixels and tokens have one each."""
    if not isinstance(targets, Tensor) or targets.ndim != 1 or not isinstance(outputs, Tensor):
        return None
    if metric.classes is not None:
        return metric.classes if outputs.ndim <= 2 else None
    return Classes() if outputs.ndim == 2 and outputs.shape[1] > 1 and not targets.is_floating_point() else None


def _results(metric: Metric, classes: Classes | None, outputs: Tree, targets: Tree, numbers: Tensor) -> Tensor:
    """Return the judgement of each sample, [n]; NaN where one of the whole split has none of a sample."""
    judging = _judge(metric, classes)
    if metric.decomposes or classes is not None:
        return judging.alone(judging.values(outputs, targets, numbers))
    try:
        judged = judging.judge(outputs, targets).double()
    except Exception:  # a user's metric may raise anything; below it is said on which samples
        judged = None
    return judging.values(outputs, targets, numbers) if judged is None or judged.isinf().any() else judged


def _judge(metric: Metric, classes: Classes | None) -> Metric:
    if metric.decomposes:
        return metric
    if classes is not None:
        return metric_of("accuracy", classes)

    def alone(outputs: Tree, targets: Tree) -> Tensor:
        places = [torch.tensor([place]) for place in range(count(targets))]
        return torch.stack([torch.as_tensor(metric.judge(take(outputs, one), take(targets, one))) for one in places])

    return replace(metric, name=f"{metric.name}, each sample alone", judge=alone, decomposes=True, reason="")


def _scale(unit: str, score: float) -> float:
    return 1.0 if unit == "%" else abs(score)


def _classes(
    before: Predictions, after: Predictions, metric: Metric, mean: float, names: tuple[str, ...]
) -> tuple[ClassChange, ...]:
    labels = torch.unique(before.targets).tolist()
    z = NormalDist().inv_cdf(1 - (1 - LEVEL) / 2 / len(labels))
    margin = BREAKS * _scale(metric.unit, float(before.results.mean()))
    sign = 1 if metric.higher_is_better else -1
    changes = []
    for label in labels:
        own = before.targets == label
        old, new = before.results[own], after.results[own]
        change, (low, high) = float((new - old).mean()), interval(new - old, metric.bounds, z)
        worse = (high < 0) if sign > 0 else (low > 0)
        name = names[label] if label < len(names) else str(label)
        changes.append(
            ClassChange(
                int(label), name, len(old), float(old.mean()), float(new.mean()), change, low, high,
                worse and sign * (mean - change) >= margin,
            )
        )  # fmt: skip
    return tuple(changes)


def interval(differences: Tensor, bounds: tuple[float, float] | None, z: float) -> tuple[float, float]:
    """Return the interval of the mean difference for new samples of the same kind, as `population.mean_interval`.

    z²/2 pseudo-samples stand at each end of what a difference can be. Half a one at each end, as Agresti and Min have
    it for one interval of 95 %, covers 86 % where two of many samples are expected to change for the worse; and the
    narrower the level of one class among many, the more of them it takes.

    Args:
        differences: After less before of each sample, [n].
        bounds: Smallest and largest result that a sample can have; without them the largest difference that was
            seen takes their place, which covers less than it says where larger ones are rare.
        z: Half-width in standard errors.
    """
    known = bounds is not None and all(math.isfinite(end) for end in bounds)
    reach = bounds[1] - bounds[0] if bounds is not None and known else float(differences.abs().max())
    return mean_interval(len(differences), float(differences.sum()), float(differences.square().sum()), reach, z)


def _changed(before: Predictions, after: Predictions, metric: Metric) -> tuple[ChangedSample, ...]:
    classes = bool(len(before.labels))
    judged = ~(before.results.isnan() | after.results.isnan())
    moved = (before.labels != after.labels) if classes else (before.results != after.results) & judged
    sign = 1 if metric.higher_is_better else -1
    gain = sign * (after.results - before.results)
    # Of those that lost alike, the ones first that the baseline was surest of.
    rows = [
        (
            float(gain[number]),
            -float(before.sure[number]) if classes else 0.0,
            ChangedSample(
                number,
                int(before.targets[number]) if classes else -1,
                int(before.labels[number]) if classes else -1,
                int(after.labels[number]) if classes else -1,
                float(before.sure[number]) if classes else 0.0,
                float(after.sure[number]) if classes else 0.0,
                float(before.results[number]),
                float(after.results[number]),
            ),
        )
        for number in moved.nonzero().flatten().tolist()
    ]
    return tuple(sample for _, _, sample in sorted(rows, key=lambda row: row[:2]))
