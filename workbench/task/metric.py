"""How a task judges outputs: a number per sample where that is possible, else one for the whole split."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from workbench.errors import WorkbenchError

Judge = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Metric:
    """A judgement of model outputs against targets.

    Attributes:
        name: What people read, such as "top-1 accuracy".
        judge: `(outputs [n, ...], targets [n, ...]) -> [n]` one result per sample, or a scalar for the whole
            where `decomposes` is false.
        unit: "%" for fractions that are shown in per cent, else the unit of the value.
        higher_is_better: Whether compression is feared to lower it.
        bounds: Smallest and largest value a sample can have, None where there is no limit.
        decomposes: Whether the score of a split is the mean over its samples. If not, it is scored whole.
    """

    name: str
    judge: Judge
    unit: Literal["%", ""] = ""
    higher_is_better: bool = True
    bounds: tuple[float, float] | None = None
    decomposes: bool = True

    @property
    def note(self) -> str:
        """What people should know of how it is scored, "" if it is as usual."""
        return (
            "" if self.decomposes else f"{self.name} is one value for the whole split: all samples are scored at once"
        )

    @classmethod
    def of(cls, metric: str | Metric | Judge) -> Metric:
        """Return the metric of a name ("accuracy", "top5" and the like, "mse", "mae"), or wrap a function.

        A function that gives a value per sample decomposes; one that gives a scalar is scored whole. Which of
        the two it is shows when `Task` tries it.

        Raises:
            WorkbenchError: The name is not known.
        """
        if isinstance(metric, Metric):
            return metric
        if callable(metric):
            return cls(name=getattr(metric, "__name__", type(metric).__name__), judge=metric)
        if metric in BY_NAME:
            return BY_NAME[metric]
        among = re.fullmatch(r"top-?([1-9]\d*)", metric)
        if among is None:
            known = ", ".join([*BY_NAME, "top3 and the like"])
            raise WorkbenchError(f"metric {metric!r} is not known; known are {known}, or give a function")
        return Metric(f"top-{among[1]} accuracy", top_k(int(among[1])), "%", bounds=(0.0, 1.0))


def top_k(k: int) -> Judge:
    """Return a judge: 1.0 where the target is among the `k` largest logits, else 0.0."""

    def judge(outputs: Tensor, targets: Tensor) -> Tensor:
        best = outputs.topk(min(k, outputs.shape[-1]), dim=-1).indices
        return (
            (best == targets.unsqueeze(-1)).any(-1).flatten(1).double().mean(1)
            if best.ndim > 2
            else ((best == targets.unsqueeze(-1)).any(-1).double())
        )

    return judge


def _error(loss: Callable[..., Tensor]) -> Judge:
    def judge(outputs: Tensor, targets: Tensor) -> Tensor:
        wide = targets.reshape(outputs.shape).double()
        return loss(outputs.double(), wide, reduction="none").reshape(len(outputs), -1).mean(1)

    return judge


def margins(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return how far each sample is from changing its result, `[n]`: small values change first.

    For classification this is the gap between the two largest logits. For anything else there is no decision
    boundary and the size of the output's error serves as the order.
    """
    if targets.is_floating_point() or outputs.ndim < 2 or outputs.shape[-1] < 2:
        return (
            -_error(F.mse_loss)(outputs, targets) if outputs.numel() == targets.numel() else torch.zeros(len(outputs))
        )
    best = outputs.double().topk(2, dim=-1).values
    return (best[..., 0] - best[..., 1]).reshape(len(outputs), -1).amin(1)


BY_NAME = {
    "accuracy": Metric("top-1 accuracy", top_k(1), "%", bounds=(0.0, 1.0)),
    "top5": Metric("top-5 accuracy", top_k(5), "%", bounds=(0.0, 1.0)),
    "mse": Metric("mean squared error", _error(F.mse_loss), higher_is_better=False),
    "mae": Metric("mean absolute error", _error(F.l1_loss), higher_is_better=False),
}
