"""Losses that have a name: what trains a model, as one number for a batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.task.batch import Tree
from workbench.task.classes import Classes
from workbench.task.detection import detection_loss

Loss = Callable[[Tree, Tree], Tensor]


def _cross_entropy(outputs: Tree, targets: Tree, classes: Classes) -> Tensor:
    scores, labels, counted, soft = classes.aligned(outputs, targets)
    if soft is not None:
        return F.cross_entropy(scores.flatten(0, 1), soft.flatten(0, 1).to(scores.dtype))
    return F.cross_entropy(scores.flatten(0, 1), labels.masked_fill(~counted, classes.ignored).flatten(),
                           ignore_index=classes.ignored)  # fmt: skip


def _like_outputs(loss: Callable[..., Tensor]) -> Callable[[Tree, Tree, Classes], Tensor]:
    """Return the loss with targets in the outputs' shape; torch would compare [n, 1] with [n] as n × n pairs."""
    return lambda outputs, targets, _: loss(outputs, targets.reshape(outputs.shape).to(outputs.dtype))


LOSSES: dict[str, Callable[[Tree, Tree, Classes], Tensor]] = {
    "cross_entropy": _cross_entropy,
    "mse": _like_outputs(F.mse_loss),
    "l1": _like_outputs(F.l1_loss),
    "smooth_l1": _like_outputs(F.smooth_l1_loss),
    "bce": _like_outputs(F.binary_cross_entropy_with_logits),
    "detection": lambda outputs, targets, _: detection_loss(outputs, targets),
}


@dataclass(frozen=True)
class NamedLoss:
    """One of `LOSSES`, for outputs in which classes lie as `classes` says."""

    name: str
    classes: Classes

    def __call__(self, outputs: Tree, targets: Tree) -> Tensor:
        """Return the loss of a batch, []."""
        return LOSSES[self.name](outputs, targets, self.classes)


def loss_of(loss: str | Loss, classes: Classes) -> Loss | None:
    """Return the loss of a name or a function, None for "".

    Raises:
        WorkbenchError: The name is not known.
    """
    if callable(loss) or not loss:
        return loss or None
    if loss not in LOSSES:
        raise WorkbenchError(f"loss {loss!r} is not known; known are {', '.join(LOSSES)}, or give a function")
    return NamedLoss(loss, classes)
