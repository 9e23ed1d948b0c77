"""How a task judges outputs: a number per sample where that is possible, else one for the whole split."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from workbench.errors import WorkbenchError, first_line

Judge = Callable[[Tensor, Tensor], Tensor]
NAMED = 5  # numbers of failing samples that an error lists
# What rounding may change when the same samples are judged in other batches, as a part of the largest result.
ROUNDING = 1e-4


@dataclass(frozen=True)
class Metric:
    """A judgement of model outputs against targets.

    Attributes:
        name: What people read, such as "top-1 accuracy".
        judge: `(outputs [n, ...], targets [n, ...]) -> [n]` one result per sample, or a scalar for the whole
            where `decomposes` is false.
        unit: "%" for fractions that are shown in per cent, else the unit of the value.
        higher_is_better: Whether compression is feared to lower it.
        bounds: Smallest and largest value a sample can have, None where there is no limit; an end may be infinite.
            Only between two finite ends can an interval be given before every sample was seen, and for other data.
        decomposes: Whether the score of a split is the mean over its samples. If not, it is scored whole.
        reason: Why it is scored whole, where that was found out by trying, "" else.
        classes: Whether targets are numbers of classes, which the last dimension of the outputs has.
        loss: Name of the loss that trains it, "" where none is known.
    """

    name: str
    judge: Judge
    unit: Literal["%", ""] = ""
    higher_is_better: bool = True
    bounds: tuple[float, float] | None = None
    decomposes: bool = True
    reason: str = ""
    classes: bool = False
    loss: str = ""

    @property
    def note(self) -> str:
        """What people should know of how it is scored, "" if it is as usual."""
        why = self.reason or "is one value for the whole split"
        return "" if self.decomposes else f"{self.name} {why}: all samples are scored at once"

    @property
    def bounded(self) -> bool:
        """Whether both the smallest and the largest value of a sample are known."""
        return self.bounds is not None and all(math.isfinite(end) for end in self.bounds)

    def clamp(self, value: float) -> float:
        """Return the possible value that is nearest."""
        return value if self.bounds is None else min(max(value, self.bounds[0]), self.bounds[1])

    def values(self, outputs: Tensor, targets: Tensor, numbers: Tensor) -> Tensor:
        """Return finite float64 results: one a sample, [n], or the mean over the whole, [], if it does not decompose.

        Args:
            outputs: Of the model, [n, ...].
            targets: What is right, [n, ...].
            numbers: The samples' places in the split, [n], by which errors name them.

        Raises:
            WorkbenchError: The metric raises an error, gives no number, or one that is NaN or infinite; it says for how
                many samples and for which.
        """
        try:
            judged = torch.as_tensor(self.judge(outputs, targets)).double()
        except Exception as error:  # a user's metric may raise anything
            failing = numbers[[self._fails(outputs, targets, place) for place in range(len(numbers))]]
            where = _named(failing, len(numbers)) if len(failing) else f"{len(numbers)} samples judged together"
            raise WorkbenchError(f"{self.name} fails on {where}: {first_line(error)}") from error
        if not self.decomposes:
            if not judged.isfinite().all():
                raise WorkbenchError(f"{self.name} of the whole split is {_words(judged)}, which is no score")
            return judged.mean()
        if judged.numel() != len(numbers):
            raise WorkbenchError(f"{self.name} gives shape {tuple(judged.shape)} for {len(numbers)} samples")
        judged = judged.reshape(-1)
        broken = ~judged.isfinite()
        if broken.any():
            where = _named(numbers[broken], len(numbers))
            raise WorkbenchError(f"{self.name} is {_words(judged)} on {where}; it must be a finite number for each")
        return judged

    def _fails(self, outputs: Tensor, targets: Tensor, place: int) -> bool:
        try:
            self.judge(outputs[place : place + 1], targets[place : place + 1])
        except Exception:  # as above
            return True
        return False

    def settled(self, outputs: Tensor, targets: Tensor) -> Metric:
        """Return the metric as it has to be scored: whole, if a sample's result depends on what it is judged with.

        A function that gives a number a sample may still compare samples with each other, as retrieval within a batch
        does. So it is tried: halves, every other sample and single samples must give what all together give.

        Args:
            outputs: Of a model that the metric does not fail on, [n, ...]; the more samples, the more is found out.
            targets: What is right, [n, ...].
        """
        if not self.decomposes:
            return self
        try:
            judged = torch.as_tensor(self.judge(outputs, targets))
        except Exception:  # `values` says on which samples
            return self
        if judged.ndim == 0 and len(targets) > 1:
            return replace(self, decomposes=False)
        if judged.numel() != len(targets):
            return self
        together = judged.double().reshape(-1)
        for part in _parts(len(targets)):
            try:
                apart = torch.as_tensor(self.judge(outputs[part], targets[part])).double().reshape(-1)
            except Exception:  # a user's metric may raise anything
                return replace(self, decomposes=False, reason="cannot judge some of the samples without the others")
            if apart.numel() != len(part) or not _close(apart, together[part]):
                return replace(self, decomposes=False, reason="judges samples by others of the same batch")
        return self

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
        return Metric(
            f"top-{among[1]} accuracy", top_k(int(among[1])), "%", bounds=(0.0, 1.0), classes=True, loss="cross_entropy"
        )


def _parts(count: int) -> Iterator[Tensor]:
    """Yield numbers of samples to judge apart: halves, odd and even ones, single ones."""
    every = torch.arange(count)
    if count > 1:
        yield from (every[: count // 2], every[count // 2 :], every[::2], every[1::2])
        yield from (every[place : place + 1] for place in sorted({0, count // 2, count - 1}))


def _close(one: Tensor, other: Tensor) -> bool:
    near = ROUNDING * float(other[other.isfinite()].abs().max()) if other.isfinite().any() else 0.0
    return torch.allclose(one, other, rtol=ROUNDING, atol=near, equal_nan=True)


def _named(numbers: Tensor, total: int) -> str:
    """Return samples as text: how many there are, and the numbers of the first ones."""
    first = ", ".join(str(int(number)) for number in numbers[:NAMED])
    more = ", …" if len(numbers) > NAMED else ""
    return f"{len(numbers)} of {total} samples (number{'s' if len(numbers) > 1 else ''} {first}{more})"


def _words(judged: Tensor) -> str:
    return "not a number (NaN)" if judged.isnan().any() else "infinite"


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
    "accuracy": Metric("top-1 accuracy", top_k(1), "%", bounds=(0.0, 1.0), classes=True, loss="cross_entropy"),
    "top5": Metric("top-5 accuracy", top_k(5), "%", bounds=(0.0, 1.0), classes=True, loss="cross_entropy"),
    "mse": Metric("mean squared error", _error(F.mse_loss), higher_is_better=False, bounds=(0.0, math.inf), loss="mse"),
    "mae": Metric("mean absolute error", _error(F.l1_loss), higher_is_better=False, bounds=(0.0, math.inf), loss="l1"),
}
