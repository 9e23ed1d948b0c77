"""Classes in outputs and targets: along which dimension they lie, and which labels do not count.

Outputs hold a number for each class: [n, C] for samples, [n, C, H, W] for pixels, [n, T, C] for tokens. Or one number,
[n], [n, 1] or [n, 1, H, W], for a class against none. Targets hold class numbers, or for each class how likely it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from workbench.errors import WorkbenchError

IGNORED = -100  # as in `torch.nn.functional.cross_entropy`, and in transformers


@dataclass(frozen=True)
class Classes:
    """How a task counts classes.

    Attributes:
        dim: Dimension of the outputs that counts them, None where shapes tell.
        ignored: A label that does not count.
    """

    dim: int | None = None
    ignored: int = IGNORED

    def settled(self, outputs: Any, targets: Any) -> Classes:
        """Return the same with the dimension that shapes tell, so that no later batch is laid out otherwise."""
        if self.dim is not None or not isinstance(outputs, Tensor) or not isinstance(targets, Tensor):
            return self
        targets = _narrow(outputs, targets)
        if outputs.ndim < 3 or targets.shape == outputs.shape or _alone(outputs, targets):
            return self
        self._laid_out(outputs, targets)
        return replace(self, dim=1 if (outputs.shape[0], *outputs.shape[2:]) == tuple(targets.shape) else -1)

    def aligned(self, outputs: Any, targets: Any) -> Aligned:
        """Return outputs and targets with positions (pixels, tokens; one for a whole sample) in one dimension.

        Raises:
            WorkbenchError: Shapes do not fit, fit in two ways, or a label is outside of the classes.
        """
        if not isinstance(outputs, Tensor) or not isinstance(targets, Tensor):
            kinds = f"{type(outputs).__name__} and {type(targets).__name__}"
            raise WorkbenchError(f"classes are judged from one tensor of outputs and one of targets, not {kinds}")
        targets = _narrow(outputs, targets)
        if targets.shape == outputs.shape and not _alone(outputs, targets):
            return self._likely(outputs, targets)
        scores, labels = self._laid_out(outputs, targets)
        labels = labels.reshape(len(labels), -1)
        if labels.is_floating_point():
            if not torch.equal(labels, labels.round()):
                raise WorkbenchError("targets are no class numbers, but fractions; give metric='mse' or the like")
            labels = labels.long()
        scores = scores.reshape(len(scores), labels.shape[1], -1)
        counted = labels != self.ignored
        self.check(labels[counted], scores.shape[-1])
        return Aligned(scores, labels.masked_fill(~counted, 0), counted)

    def _laid_out(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return outputs with classes last, and labels in the shape of the rest."""
        shape, wanted = tuple(outputs.shape), tuple(targets.shape)
        if _alone(outputs, targets):  # one number against zero: as two classes whose numbers differ by it
            alone = outputs.reshape(wanted)
            return torch.stack([-alone / 2, alone / 2], -1), targets
        if self.dim is not None:
            moved = outputs.movedim(self.dim, -1)
            if tuple(moved.shape[:-1]) == wanted:
                return moved, targets
        else:
            second, last = len(shape) > 1 and (shape[0], *shape[2:]) == wanted, shape[:-1] == wanted
            if second and last and len(shape) > 2:
                raise WorkbenchError(
                    f"classes may be along dimension 1 or the last one of outputs {shape}: targets {wanted} fit both; "
                    "give class_dim=1 (images) or class_dim=-1 (tokens) to wb.Task"
                )
            if second:
                return outputs.movedim(1, -1), targets
            if last:
                return outputs, targets
        raise WorkbenchError(
            f"targets of shape {wanted} do not fit outputs of shape {shape}: class numbers are [n] for [n, C], "
            "[n, H, W] for [n, C, H, W], [n, T] for [n, T, C]"
        )

    def _likely(self, outputs: Tensor, targets: Tensor) -> Aligned:
        """Return outputs of which targets say for each class how likely it is: one-hot labels and soft ones."""
        dim = self.dim if self.dim is not None else (1 if outputs.ndim > 3 else -1)
        scores, chance = outputs.movedim(dim, -1), targets.movedim(dim, -1).double()
        if bool((chance < 0).any()) or not torch.allclose(
            chance.sum(-1), torch.ones((), dtype=torch.float64), atol=1e-3
        ):
            raise WorkbenchError(
                f"targets of shape {tuple(targets.shape)} are no probabilities of classes, which add up to one; where "
                "several labels may hold at once, give metric='multilabel accuracy'"
            )
        labels = chance.argmax(-1).reshape(len(chance), -1)
        soft = chance.reshape(*labels.shape, -1)
        flat = scores.reshape(*labels.shape, -1)
        return Aligned(flat, labels, torch.ones_like(labels, dtype=torch.bool), soft)

    def check(self, counted: Tensor, classes: int) -> None:
        """Raise an error if a label that counts is none of so many classes.

        Raises:
            WorkbenchError: One is; it says what to do if nothing counts there.
        """
        low, high = (int(end(counted)) if counted.numel() else 0 for end in (torch.min, torch.max))
        wrong = low if low < 0 else high
        if low < 0 or high >= classes:
            raise WorkbenchError(
                f"label {wrong} does not fit an output of {classes} classes, numbered from 0; if {wrong} means that "
                f"nothing counts there, give ignored={wrong} to wb.Task"
            )


class Aligned(NamedTuple):
    """Outputs and targets of classes.

    Attributes:
        scores: [n, positions, C].
        labels: int64 [n, positions]; 0 where nothing counts.
        counted: bool [n, positions].
        soft: float64 [n, positions, C], where targets are probabilities.
    """

    scores: Tensor
    labels: Tensor
    counted: Tensor
    soft: Tensor | None = None


def _alone(outputs: Tensor, targets: Tensor) -> bool:
    """Return whether outputs hold one number for each label: a class against none."""
    return (
        outputs.numel() == targets.numel()
        and not (outputs.ndim == 2 and outputs.shape[1] > 1 and targets.shape == outputs.shape)
        and (outputs.ndim < 2 or outputs.shape[1] == 1 or outputs.shape[-1] == 1)
    )


def _narrow(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return targets without a dimension of one channel that outputs have for their classes."""
    if targets.ndim == outputs.ndim and targets.ndim > 1 and targets.shape[1] == 1 and outputs.shape[1] > 1:
        return targets.squeeze(1)
    return targets
