"""When training is good enough: the score is, at the lower end of its interval, within what may be lost."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from workbench.errors import WorkbenchError
from workbench.model.subject import Subject
from workbench.steps.train.training import judged
from workbench.task.task import Task

WIDTH = 1.96  # standard errors that an interval of 95 % reaches to each side


class Goal:
    """Compares models with the uncompressed one on validation samples, sample by sample.

    Args:
        subject: The uncompressed model, and its task.
        loss: By how much the score may be worse, in the metric's own unit.
    """

    def __init__(self, subject: Subject, loss: float) -> None:
        self._task, self._loss = subject.task, loss
        self._score, self._shares = scored(subject.model, subject.task)
        self._change = (-math.inf, -math.inf, -math.inf)

    def reached(self, model: nn.Module) -> bool:
        """Return whether a model is good enough, all other such samples considered."""
        try:
            score, shares = scored(model, self._task)
        except WorkbenchError:  # no number for some sample, and so none that is good enough
            return False
        sign = 1 if self._task.metric.higher_is_better else -1
        reach = WIDTH * float((shares - self._shares).std()) / math.sqrt(len(shares))
        mean = sign * (score - self._score)
        self._change = (mean - reach, mean, mean + reach)
        return mean - reach >= -self._loss

    @property
    def words(self) -> str:
        """How far the last model got."""
        low, mean, high = self._change
        return (
            f"{mean:+.4g} [{low:+.4g}, {high:+.4g}] from the uncompressed model on {len(self._shares):,} validation "
            f"samples, where {-self._loss:g} was asked for"
        )


def scored(model: nn.Module, task: Task) -> tuple[float, Tensor]:
    """Return the score of the validation samples that epochs are judged by, and what each adds to it, float64 [n].

    Of a score that is made of sums, each sample's share is that of its slope there (the delta method), as for a ratio.

    Raises:
        WorkbenchError: A result is no number.
    """
    with torch.inference_mode():
        parts = [task.metric.values(*part) for part in judged(model, task)]
    results = torch.cat(parts).clone()
    if results.ndim == 1 or task.metric.combine is None:
        return float(results.mean()), results
    with torch.enable_grad():
        sums = results.sum(0).requires_grad_()
        score = task.metric.combine(sums)
        (slope,) = torch.autograd.grad(score, sums)
    return float(score.detach()), len(results) * (results @ slope)


def lacks(task: Task) -> str:
    """Return why no goal can be told for a task, "" if one can."""
    if task.metric.decomposes:
        return ""
    return f"until compares sample by sample, and {task.metric.name} has no result of a single one"
