"""Batches, learning-rate schedules, and which epoch is the best."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import lr_scheduler


def batches(order: Tensor, size: int) -> list[Tensor]:
    """Return the numbers in `order`, [n], in batches of `size`; a single one that is left joins the batch before it.

    A batch norm cannot train on one sample, which has no variance.
    """
    parts = list(torch.split(order, size))
    if size > 1 and len(parts) > 1 and len(parts[-1]) == 1:
        parts[-2:] = [torch.cat(parts[-2:])]
    return parts


class Pick:
    """Which epoch is the best so far, and whether it is time to stop waiting for a better one.

    Args:
        patience: Epochs to wait for a better one, 0 to wait to the end.
        start: The score before training, which the first epoch may equal and others must beat; None for none.
    """

    def __init__(self, patience: int, start: float | None = None) -> None:
        self._patience, self._best, self._epochs, self._waited = patience, start, 0, 0

    def takes(self, score: float) -> bool:
        """Return whether an epoch's score is the best."""
        better = self._best is None or score > self._best or (self._epochs == 0 and score == self._best)
        self._epochs, self._waited = self._epochs + 1, 0 if better else self._waited + 1
        self._best = score if better else self._best
        return better

    def facts(self) -> list[float | None]:
        """Return what was picked so far, as plain values."""
        return [self._best, self._epochs, self._waited]

    @staticmethod
    def sound(facts: Any, epochs: int) -> bool:
        """Return whether `facts` may be what was picked of up to so many epochs, whoever wrote them."""
        if type(facts) is not list or len(facts) != 3:
            return False
        best, seen, waited = facts
        # Of an epoch whose score is no number the score is -inf.
        scored = best is None or (type(best) is float and best < math.inf)
        return scored and type(seen) is type(waited) is int and 0 <= waited <= seen <= epochs

    def restore(self, facts: Sequence[Any]) -> None:
        """Go on with what `facts` gave."""
        self._best, self._epochs, self._waited = facts

    @property
    def over(self) -> bool:
        """Whether patience is at its end."""
        return 0 < self._patience <= self._waited


Schedule = Callable[[torch.optim.Optimizer, int], lr_scheduler.LRScheduler]
# From an optimizer, at its largest step size, and the number of batches.
SCHEDULES: dict[str, Schedule] = {
    "cosine": lambda optimizer, steps: lr_scheduler.CosineAnnealingLR(optimizer, steps),
    "constant": lambda optimizer, steps: lr_scheduler.ConstantLR(optimizer, 1.0),
    "one-cycle": lambda optimizer, steps: lr_scheduler.OneCycleLR(
        optimizer, [group["lr"] for group in optimizer.param_groups], steps
    ),
    "step": lambda optimizer, steps: lr_scheduler.MultiStepLR(
        optimizer, [max(steps // 2, 1), max(3 * steps // 4, 1)], 0.1
    ),
}
