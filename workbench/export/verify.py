"""A reloaded file against the session: the same score by the task's metric, the same predictions, or no export.

Kernels add in other orders and integer kernels round by other rules, so outputs are not the same to the bit. What has
to be the same is what the task asks for: the score, to within a tolerance in the metric's own unit, and where there are
classes, which of them is predicted. Where nothing is rounded otherwise, values have to be the same too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from workbench import formatting
from workbench.errors import WorkbenchError
from workbench.jobs.progress import Progress
from workbench.measure import Reference
from workbench.measure.runtimes import Forward, eager
from workbench.steps import State
from workbench.task.batch import Tree, entering, leaves, shape_words
from workbench.task.metric import Metric

MOST_SAMPLES = 2000
TOLERANCE = 1e-3  # of the largest output: what values may differ by where nothing is rounded otherwise
POINTS = 0.005  # that a score in per cent may differ by
SPREAD = 0.05  # of the spread of results over samples, that another score may differ by
EDGE = 10_000  # predictions, of which one may differ anyhow
PART = 0.01  # of the score itself, where it is one value for the whole split and has no spread


@dataclass(frozen=True)
class Verification:
    """How a reloaded file compares.

    Attributes:
        file: Its name.
        runtime: What it ran in.
        bytes: Its size.
        score: The file's score on the compared samples.
        expected: The session's score on the same samples.
        agreement: Part of the predictions that are the same; where there are no classes, of the samples whose values
            are within a thousandth of the largest output.
        difference: Largest difference of an output, relative to the largest output.
        n: Compared samples.
        tolerance: What both scores may differ by, in the metric's unit.
        classes: Whether there are classes to predict.
    """

    file: str
    runtime: str
    bytes: int
    score: float
    expected: float
    agreement: float
    difference: float
    n: int
    tolerance: float
    classes: bool


def verify(
    file: str,
    runtime: str,
    size: int,
    reloaded: Forward,
    state: State,
    reference: Reference,
    agreement: float,
    progress: Progress,
) -> Verification:
    """Return how the file compares with the state on up to 2,000 validation samples.

    Args:
        file: Its name.
        runtime: What it is reloaded in.
        size: Its bytes.
        reloaded: The file, opened there.
        state: The session's.
        reference: Samples and metric.
        agreement: Part of the predictions that have to be the same. At 1.0 nothing is rounded otherwise, and values
            have to be the same where there are no classes.
        progress: Who is told.

    Raises:
        WorkbenchError: The file gives another score or other predictions than the session, outputs of another shape,
            or values that are no numbers.
    """
    order = torch.randperm(len(reference.samples), generator=torch.Generator().manual_seed(0))[:MOST_SAMPLES]
    metric, where = reference.metric, f"{file}, reloaded in {runtime},"
    wanted_forward, parts = eager.prepare(state, ()), _Parts(metric)
    for numbers in progress.over(torch.split(order, reference.batch), -(-len(order) // reference.batch)):
        inputs, targets = reference.samples.batch(numbers.tolist())
        ours, theirs = (
            tree_map(_wide, forward(fed))
            for forward, fed in ((wanted_forward, inputs), (reloaded, entering(state.model, inputs)))
        )
        if shape_words(theirs) != shape_words(ours):
            raise WorkbenchError(
                f"{where} gives {shape_words(theirs)} for {len(numbers)} samples where the session has "
                f"{shape_words(ours)}, so it was not exported. A model that writes its number of samples into the "
                "graph as a plain number, as int(x.shape[0]) does, works with no other; x.shape[0] stays a size"
            )
        if not _finite(theirs) and _finite(ours):
            raise WorkbenchError(f"{where} gives values that are no numbers, so it was not exported")
        parts.take(ours, theirs, targets, numbers)
    row = Verification(
        file, runtime, size, parts.score(parts.theirs), parts.score(parts.ours), parts.agreement(), parts.difference(),
        len(order), tolerance_of(metric, reference.results, parts.spread()), parts.classes,
    )  # fmt: skip
    _check_score(row, metric, where)
    if row.classes or agreement == 1.0:
        _check_same(parts.same(), agreement, where, "predictions" if row.classes else "samples")
    return row


def _wide(value: Tensor) -> Tensor:
    return value.double() if value.is_floating_point() else value


def _finite(outputs: Tree) -> bool:
    return all(bool(value.isfinite().all()) for value in leaves(outputs))


class _Parts:
    """What batches show of how two models compare."""

    def __init__(self, metric: Metric) -> None:
        self._metric, self.classes = metric, False
        self.ours, self.theirs = list[Any](), list[Any]()
        self._same: list[Tensor] = []
        self._gaps: list[Tensor] = []
        self._scale = 0.0

    def take(self, ours: Tree, theirs: Tree, targets: Tree, numbers: Tensor) -> None:
        """Compare one batch."""
        pairs = list(zip(leaves(ours), leaves(theirs), strict=True))
        gaps = torch.stack([(one - other).abs().double().reshape(len(one), -1).amax(1) for one, other in pairs])
        self._gaps.append(gaps.amax(0))
        self._scale = max(self._scale, *(float(one.abs().max()) for one, _ in pairs))
        same = same_classes(ours, theirs, targets, self._metric)
        self.classes = same is not None
        if same is not None:
            self._same.append(same)
        for values, outputs in ((self.ours, ours), (self.theirs, theirs)):
            part = (outputs, targets, numbers)
            values.append(self._metric.values(*part) if self._metric.decomposes else part)

    def score(self, values: list[Any]) -> float:
        """Return the score of one of both models."""
        if not self._metric.decomposes:
            return self._metric.score_of(values)
        return float(self._metric.total(self._metric.joined(values)))

    def spread(self) -> Tensor:
        """Return our results, one a sample where there is one."""
        if not self._metric.decomposes:
            return torch.tensor([self.score(self.ours)])
        return self._metric.alone(self._metric.joined(self.ours))

    def same(self) -> Tensor:
        """Return which predictions are the same; where there are no classes, which samples' values are."""
        if self.classes:
            return torch.cat(self._same)
        return torch.cat(self._gaps) <= TOLERANCE * max(self._scale, 1e-12)

    def agreement(self) -> float:
        """Return the part of what is the same."""
        return float(self.same().double().mean())

    def difference(self) -> float:
        """Return the largest difference of a value, relative to the largest value."""
        return float(torch.cat(self._gaps).max()) / max(self._scale, 1e-12)


def same_classes(ours: Tree, theirs: Tree, targets: Tree, metric: Metric) -> Tensor | None:
    """Return which predicted classes are the same, of all positions that count; None where there are no classes."""
    if metric.classes is not None:
        (mine, _, counted, _), (other, *_) = (metric.classes.aligned(outputs, targets) for outputs in (ours, theirs))
        return (mine.argmax(-1) == other.argmax(-1))[counted]
    if not isinstance(ours, Tensor) or not isinstance(targets, Tensor):
        return None
    dim = class_dim(ours, targets, metric)
    return None if dim is None else (ours.argmax(dim) == theirs.argmax(dim)).reshape(-1)


def class_dim(outputs: Tensor, targets: Tensor, metric: Metric) -> int | None:
    """Return the dimension of outputs that goes over classes for a user's own metric, None where there are none.

    Targets are numbers of classes if they are whole, fit the outputs without that dimension, and the metric judges each
    sample within bounds: numbers of persons beside embeddings are no classes of the outputs.
    """
    if targets.is_floating_point() or not metric.decomposes or not metric.bounded:
        return None
    for dim in (1, outputs.ndim - 1):
        rest = [length for place, length in enumerate(outputs.shape) if place != dim]
        if 0 < dim < outputs.ndim and outputs.shape[dim] > 1 and rest == list(targets.shape):
            return dim
    return None


def tolerance_of(metric: Metric, baseline: Tensor, expected: Tensor) -> float:
    """Return what a score may differ by, in the metric's unit: half a point, or a part of the spread over samples.

    Args:
        metric: What is judged by.
        baseline: The untouched subject's results, one a sample, or one of the whole.
        expected: The session's, likewise.
    """
    if metric.unit == "%":
        return POINTS
    spreads = [float(results.std()) for results in (baseline, expected) if results.numel() > 1]
    return SPREAD * max(spreads) if spreads else PART * float(expected.abs().mean())


def _check_score(row: Verification, metric: Metric, where: str) -> None:
    if math.isfinite(row.score) and abs(row.score - row.expected) <= row.tolerance + 1e-12:
        return
    measured, expected = (formatting.score_value(value, metric.unit) for value in (row.score, row.expected))
    most = formatting.points(row.tolerance, metric.unit).removeprefix("+")
    raise WorkbenchError(
        f"{where} has {metric.name} {measured} on {row.n} samples where the session has {expected}; "
        f"they may differ by {most}, so it was not exported"
    )


def _check_same(same: Tensor, agreement: float, where: str, what: str) -> None:
    count = same.numel()
    other = count - int(same.sum())
    # One in many on an edge may fall to the other side by rounding; more is another model. In whole numbers, for
    # 1 - 0.99 is more than a hundredth.
    if other > max(round(count * (1 - agreement)), count // EDGE, 1):
        raise WorkbenchError(
            f"{where} agrees with the session on {(count - other) / count:.2%} of {count} {what}; "
            f"{agreement:.1%} are needed, so it was not exported"
        )
