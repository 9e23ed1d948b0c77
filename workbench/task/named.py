"""The metrics that have a name, and taking a user's own: a function, or an object of torchmetrics."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._pytree import tree_map

from workbench.errors import WorkbenchError
from workbench.task.batch import Tree, count, take
from workbench.task.classes import Classes
from workbench.task.detection import found_objects, mean_average_precision, mean_precision
from workbench.task.metric import NAMES, UNSAID, Judge, Metric
from workbench.task.taken import is_torchmetrics, taken

FRACTION = (0.0, 1.0)


def metric_of(
    metric: str | Metric | Judge | Any, classes: Classes | None = None, higher_is_better: bool | None = None
) -> Metric:
    """Return the metric of a name, or wrap a function or an object of torchmetrics.

    A function that gives a value per sample decomposes; one that gives a scalar is scored whole. Which of the two it is
    shows when it is tried.

    Args:
        metric: One of `NAMES`, "top3" and the like, a `Metric`, `f(outputs, targets)`, or a `torchmetrics.Metric`.
        classes: How classes lie in outputs and targets; by default as shapes tell.
        higher_is_better: Of a function; None leaves it to be found out by trying.

    Raises:
        WorkbenchError: The name is not known, or the direction of an object is said nowhere.
    """
    if is_torchmetrics(metric):
        return taken(metric, higher_is_better)
    return Metric.of(metric, classes, higher_is_better)


TRIED, SURE = 256, 3.0


def directed(metric: Metric, outputs: Tree, targets: Tree) -> Metric:
    """Return a metric of which nobody said whether higher is better with what trying shows, and says so.

    A trained model does better on the right targets than on those of other samples: if the metric is higher on the
    right ones, by three standard errors, higher is better.
    """
    if metric.assumed != UNSAID:
        return metric
    some = torch.arange(min(count(targets), TRIED))
    mine, right = tree_map(Tensor.detach, take(outputs, some)), take(targets, some)
    try:
        gaps = []
        for shift in (1, 2, 3):
            wrong = take(right, some.roll(shift))
            gaps.append((metric.judge(mine, right).double() - metric.judge(mine, wrong).double()).reshape(-1))
        gap = torch.stack(gaps).mean(0)
        clear = float(gap.mean().abs()) > SURE * float(gap.std(correction=0) / max(len(gap), 1) ** 0.5) and len(gap) > 1
    except Exception:  # a user's metric may raise anything
        return metric
    if not clear:
        return replace(metric, assumed=f"{UNSAID}, and taken so; give higher_is_better=... to wb.Task")
    higher = bool(gap.mean() > 0)
    return replace(
        metric, higher_is_better=higher,
        assumed=f"that {'higher' if higher else 'lower'} is better was found by trying right targets against others",
    )  # fmt: skip


def top_k(classes: Classes, k: int = 1) -> Metric:
    """Return the metric: the part of samples, pixels or tokens whose class is among the `k` largest outputs."""

    def judge(outputs: Tree, targets: Tree) -> Tensor:
        scores, labels, counted, _ = classes.aligned(outputs, targets)
        best = scores.topk(min(k, scores.shape[-1]), dim=-1).indices
        right = ((best == labels.unsqueeze(-1)).any(-1) & counted).double()
        if labels.shape[1] == 1 and counted.all():
            return right[:, 0]
        return torch.stack([right.sum(1), counted.sum(1).double()], 1)

    return Metric(
        f"top-{k} accuracy", judge, "%", bounds=FRACTION, classes=classes, loss="cross_entropy",
        combine=ratio, limits=part_of_second, remake=lambda other: top_k(other, k),
    )  # fmt: skip


def ratio(sums: Tensor) -> Tensor:
    """Return the first sum by the second."""
    return sums[..., 0] / sums[..., 1]


def part_of_second(sums: Tensor) -> tuple[Tensor, Tensor]:
    """Return limits of a ratio of what is right to what counts, which targets decide."""
    most = sums.clone()
    most[:, 0] = sums[:, 1]
    least = sums.clone()
    least[:, 0] = 0.0
    return least, most


def cross_entropies(outputs: Tree, targets: Tree, classes: Classes) -> tuple[Tensor, Tensor]:
    """Return the summed natural-log losses of each sample's positions, and how many positions count, [n] each."""
    scores, labels, counted, soft = classes.aligned(outputs, targets)
    chance = scores.double().log_softmax(-1)
    losses = -(chance * soft).sum(-1) if soft is not None else -chance.gather(-1, labels.unsqueeze(-1)).squeeze(-1)
    return (losses * counted).sum(1), counted.sum(1).double()


def perplexity(classes: Classes) -> Metric:
    """Return the metric: e to the mean loss of all tokens."""
    return Metric(
        "perplexity",
        lambda outputs, targets: torch.stack(cross_entropies(outputs, targets, classes), 1),
        higher_is_better=False, bounds=(1.0, math.inf), classes=classes, loss="cross_entropy",
        combine=lambda sums: ratio(sums).exp(), remake=perplexity,
    )  # fmt: skip


def bits(classes: Classes) -> Metric:
    """Return the metric: bits that a token, or a character, costs when it is coded by what the model expects."""
    return Metric(
        "bits a token",
        lambda outputs, targets: torch.stack(cross_entropies(outputs, targets, classes), 1),
        higher_is_better=False, bounds=(0.0, math.inf), classes=classes, loss="cross_entropy",
        combine=lambda sums: ratio(sums) / math.log(2), remake=bits,
    )  # fmt: skip


def class_counts(outputs: Tree, targets: Tree, classes: Classes) -> Tensor:
    """Return for each sample how often each class is right, predicted, and true: [n, 3 C]."""
    scores, labels, counted, _ = classes.aligned(outputs, targets)
    number, best = scores.shape[-1], scores.argmax(-1)

    def often(of: Tensor, where: Tensor) -> Tensor:
        counts = torch.zeros(len(of), number, dtype=torch.float64)
        return counts.scatter_add_(1, of, where.double())

    return torch.cat([often(labels, counted & (best == labels)), often(best, counted), often(labels, counted)], 1)


def counts_limits(sums: Tensor) -> tuple[Tensor, Tensor]:
    """Return limits of `class_counts`: what is true stays, all else is at most what is true, or what there is."""
    _, _, true = sums.chunk(3, 1)
    nothing = torch.zeros_like(true)
    most = true.sum(1, keepdim=True).expand_as(true)
    return torch.cat([nothing, nothing, true], 1), torch.cat([true, most, true], 1)


def _mean_of_classes(part: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]) -> Callable[[Tensor], Tensor]:
    """Return the mean over classes that are predicted or true of a part of their counts."""

    def combine(sums: Tensor) -> Tensor:
        upper, lower = part(*sums.chunk(3, -1))
        there = lower > 0
        return torch.where(there, upper / lower.clamp(min=1e-12), 0.0).sum(-1) / there.sum(-1)

    return combine


def f1(classes: Classes) -> Metric:
    """Return the metric: the mean of all classes' harmonic means of precision and recall."""
    return Metric(
        "macro F1", lambda outputs, targets: class_counts(outputs, targets, classes), "%", bounds=FRACTION,
        classes=classes, loss="cross_entropy", limits=counts_limits,
        combine=_mean_of_classes(lambda right, said, true: (2 * right, said + true)), remake=f1,
    )  # fmt: skip


def iou(classes: Classes) -> Metric:
    """Return the metric: the mean of all classes' intersections over unions, counted over all samples."""
    return Metric(
        "mean IoU", lambda outputs, targets: class_counts(outputs, targets, classes), "%", bounds=FRACTION,
        classes=classes, loss="cross_entropy", limits=counts_limits,
        combine=_mean_of_classes(lambda right, said, true: (right, said + true - right)), remake=iou,
    )  # fmt: skip


def exact(classes: Classes) -> Metric:
    """Return the metric: the part of samples in which every position is right."""

    def judge(outputs: Tree, targets: Tree) -> Tensor:
        scores, labels, counted, _ = classes.aligned(outputs, targets)
        return ((scores.argmax(-1) == labels) | ~counted).all(1).double()

    return Metric("exact match", judge, "%", bounds=FRACTION, classes=classes, loss="cross_entropy", remake=exact)


def labels_right(_: Classes) -> Metric:
    """Return the metric: the part of labels, several of which may hold at once, on the right side of zero."""

    def judge(outputs: Tree, targets: Tree) -> Tensor:
        right = (outputs > 0) == (targets.reshape(outputs.shape) > 0.5)
        part: Tensor = right.double().reshape(len(right), -1).mean(1)
        return part

    return Metric("multilabel accuracy", judge, "%", bounds=FRACTION, loss="bce")


def auc(_: Classes) -> Metric:
    """Return the metric: the area under the ROC curve of one number against labels 0 and 1, over all positions."""

    def judge(outputs: Tree, targets: Tree) -> Tensor:
        from sklearn.metrics import roc_auc_score

        scores = (
            outputs[..., 1] - outputs[..., 0] if outputs.ndim > targets.ndim and outputs.shape[-1] == 2 else outputs
        )
        right = targets.reshape(-1).numpy() > 0.5
        if right.all() or not right.any():
            return torch.tensor(math.nan)  # nothing to rank; scikit-learn says so too, with a warning each time
        return torch.tensor(roc_auc_score(right, scores.reshape(-1).float().numpy()))

    return Metric("area under ROC", judge, "%", bounds=FRACTION, decomposes=False, loss="bce")


def boxes(_: Classes) -> Metric:
    """Return the metric: mean average precision of boxes, at an overlap of 0.5; `task/detection.py` says of what."""
    return Metric(
        "mAP at 0.5", mean_average_precision, "%", bounds=FRACTION, decomposes=False, loss="detection",
        pieces=(found_objects, mean_precision),
    )  # fmt: skip


def _error(loss: Callable[..., Tensor]) -> Judge:
    def judge(outputs: Tree, targets: Tree) -> Tensor:
        wide = targets.reshape(outputs.shape).double()
        return loss(outputs.double(), wide, reduction="none").reshape(len(outputs), -1).mean(1)

    return judge


def squared_error(_: Classes) -> Metric:
    """Return the metric: the mean squared difference."""
    return Metric("mean squared error", _error(F.mse_loss), higher_is_better=False, bounds=(0.0, math.inf), loss="mse")


def absolute_error(_: Classes) -> Metric:
    """Return the metric: the mean difference."""
    return Metric("mean absolute error", _error(F.l1_loss), higher_is_better=False, bounds=(0.0, math.inf), loss="l1")


def words(classes: Classes) -> Metric:
    """Return the metric: edits that make the predicted sequence the right one, by the length of the right one.

    Outputs are predicted tokens [n, T], or what is said of each class [n, T, C]; a token that does not count ends both.
    Levenshtein, "Binary codes capable of correcting deletions, insertions and reversals", 1966.
    """

    def judge(outputs: Tree, targets: Tree) -> Tensor:
        said = outputs.argmax(-1) if outputs.ndim == targets.ndim + 1 else outputs
        sayable = outputs.ndim == targets.ndim or 0 <= classes.ignored < outputs.shape[-1]
        if not sayable and bool((targets == classes.ignored).any()):
            raise WorkbenchError(
                f"targets end with {classes.ignored}, which the model cannot say, so nothing tells where what it says "
                "ends; fill targets with the token that ends a sequence, and give ignored= its number to wb.Task"
            )
        rows = []
        for mine, right in zip(said.tolist(), targets.tolist(), strict=True):
            wanted = _until(right, classes.ignored)
            rows.append((edits(_until(mine, classes.ignored), wanted), len(wanted), max(len(mine), len(wanted))))
        return torch.tensor(rows, dtype=torch.float64)

    return Metric(
        "token error rate", judge, "%", higher_is_better=False, bounds=(0.0, math.inf), combine=ratio,
        limits=_edit_limits,
    )  # fmt: skip


def _until(tokens: list[int], end: int) -> list[int]:
    return tokens[: tokens.index(end)] if end in tokens else tokens


def _edit_limits(sums: Tensor) -> tuple[Tensor, Tensor]:
    least, most = sums.clone(), sums.clone()
    least[:, 0], most[:, 0] = 0.0, sums[:, 2]
    return least, most


def edits(one: list[int], other: list[int]) -> int:
    """Return the least number of tokens to put in, take out and replace that makes one sequence the other."""
    before = list(range(len(other) + 1))
    for row, token in enumerate(one, 1):
        now = [row]
        for column, wanted in enumerate(other, 1):
            now.append(min(before[column] + 1, now[-1] + 1, before[column - 1] + (token != wanted)))
        before = now
    return before[-1]


NAMES.update(
    {
        "accuracy": top_k,
        "top": top_k,
        "f1": f1,
        "miou": iou,
        "perplexity": perplexity,
        "bits": bits,
        "exact match": exact,
        "error rate": words,
        "multilabel accuracy": labels_right,
        "auc": auc,
        "map": boxes,
        "mse": squared_error,
        "mae": absolute_error,
    }
)


def margins(outputs: Tree, targets: Tree, classes: Classes | None) -> Tensor:
    """Return how far each sample is from changing its result, `[n]`: small values change first.

    For classes this is the gap between the two largest outputs, at the position where it is smallest. For anything else
    there is no decision boundary and the size of the output's error serves as the order.
    """
    if classes is not None:
        scores, _, counted, _ = classes.aligned(outputs, targets)
        if scores.shape[-1] > 1:
            best = scores.double().topk(2, dim=-1).values
            return (best[..., 0] - best[..., 1]).masked_fill(~counted, math.inf).amin(1)
    if isinstance(outputs, Tensor) and isinstance(targets, Tensor) and outputs.numel() == targets.numel():
        return -_error(F.mse_loss)(outputs, targets)
    return torch.zeros(count(targets), dtype=torch.float64)
