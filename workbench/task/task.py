"""What a model is for: its data, how it is judged, and what it learns from."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from workbench.errors import WorkbenchError, within
from workbench.task.identity import code_digest
from workbench.task.metric import Metric
from workbench.task.samples import ArraySamples, Lazy, Samples, samples

Split = Literal["train", "validation", "test", "calibration"]
Loss = Callable[[Tensor, Tensor], Tensor]


def _like_outputs(loss: Callable[..., Tensor]) -> Loss:
    """Return the loss with targets in the outputs' shape; torch would compare [n, 1] with [n] as n × n pairs."""

    def judged(outputs: Tensor, targets: Tensor) -> Tensor:
        return loss(outputs, targets.reshape(outputs.shape).to(outputs.dtype))

    return judged


def _cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the cross-entropy of classes in the last dimension, [n, C] or token by token [n, T, C]."""
    if outputs.ndim > 2 and targets.shape == outputs.shape[:-1]:
        return F.cross_entropy(outputs.flatten(0, -2), targets.flatten())
    return F.cross_entropy(outputs, targets)


LOSSES: dict[str, Loss] = {
    "cross_entropy": _cross_entropy,
    "mse": _like_outputs(F.mse_loss),
    "l1": _like_outputs(F.l1_loss),
}
CALIBRATION_SAMPLES = 256
STEERING: tuple[Split, ...] = ("validation", "calibration")


class Task:
    """Data splits, metric, loss, example input and class names of a model's job.

    Each split is `(inputs, targets)` arrays, a torch dataset or loader, or a function that gives one of them
    (called when the split is first read). Validation steers every choice; test is scored once; training and
    calibration data come from train.

    Args:
        train: Needed by training steps and for calibration.
        validation: Needed; what is looked at while choosing.
        test: Scored once, when a model is exported or reported.
        calibration: For activation ranges and criteria that look at data; by default 256 samples of train.
        metric: "accuracy", "top5", "mse", "mae", a `Metric`, or `f(outputs, targets)`.
        loss: By default what fits the metric; "cross_entropy", "mse", "l1" or `f(outputs, targets) -> scalar`.
        classes: Class names, in the order of the labels.
        mean: Per channel, for uint8 images, after division by 255.
        std: Per channel, for uint8 images.
        name: What people read.

    Raises:
        WorkbenchError: The data is missing, empty or of no known kind; a label is outside of the classes.
    """

    def __init__(
        self,
        *,
        validation: Any = None,
        train: Any = None,
        test: Any = None,
        calibration: Any = None,
        metric: str | Metric | Callable[[Tensor, Tensor], Tensor] = "accuracy",
        loss: str | Loss | None = None,
        classes: Sequence[str] = (),
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        name: str = "",
    ) -> None:
        if (mean is None) != (std is None):
            raise WorkbenchError("normalisation needs both mean and std")
        self.name = name
        self.metric = Metric.of(metric)
        self.loss = _loss(loss or self.metric.loss or "cross_entropy")
        self.classes = tuple(str(c) for c in classes)
        self.mean, self.std = mean, std
        given = {"train": train, "validation": validation, "test": test, "calibration": calibration}
        self._splits = {key: self._lazy(key, value) for key, value in given.items() if value is not None}
        if "validation" not in self._splits:
            raise WorkbenchError("a task needs validation data: it is what every choice is steered by")

    def _lazy(self, split: str, data: Any) -> Lazy:
        def make() -> Samples:
            value = data() if callable(data) and not hasattr(data, "__getitem__") else data
            with within(f"{split} data"):
                made = samples(value, self.mean, self.std)
                self._check_labels(made)
            return made

        lazy = Lazy(make)
        if not callable(data):
            lazy.get()
        return lazy

    def _check_labels(self, made: Samples) -> None:
        targets = getattr(made, "targets", None)
        if not isinstance(targets, Tensor) or targets.is_floating_point():
            return
        low, high = int(targets.min()), int(targets.max())
        if low < 0:
            raise WorkbenchError(f"labels must not be negative; the smallest is {low}")
        if self.classes and high >= len(self.classes):
            raise WorkbenchError(f"label {high} has no name: there are {len(self.classes)} classes, numbered from 0")

    def has(self, split: Split) -> bool:
        """Return whether a split can be read."""
        return split in self._splits or (split == "calibration" and "train" in self._splits)

    def split(self, split: Split) -> Samples:
        """Return a split.

        Raises:
            WorkbenchError: The task was made without it.
        """
        if split == "calibration" and split not in self._splits and "train" in self._splits:
            self._splits[split] = Lazy(self._calibration)
        if split not in self._splits:
            have = ", ".join(self._splits)
            raise WorkbenchError(f"the task has no {split} data (it has {have}); give {split}=... to wb.Task")
        return self._splits[split].get()

    def _calibration(self) -> Samples:
        train = self.split("train")
        order = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))
        return Subset(train, order[:CALIBRATION_SAMPLES].tolist())

    def portable(self) -> Task:
        """Return the task with what steering needs, and nothing that is still to be made: for other processes."""
        made = copy.copy(self)
        made._splits = {split: Lazy.of(_own(self.split(split))) for split in STEERING if self.has(split)}
        return made

    def example(self, count: int = 1) -> tuple[Tensor, ...]:
        """Return the inputs of the first validation samples, each `[count, ...]`."""
        validation = self.split("validation")
        return validation.batch(range(min(count, len(validation))))[0]

    def digest(self, *splits: Split) -> str:
        """Return hex digits that change with the data of these splits, the metric and the loss, code included."""
        data = [self.split(split).digest for split in splits if self.has(split)]
        return code_digest(data, self.metric, self.loss, self.classes)

    def facts(self) -> dict[str, Any]:
        """Return what someone needs who runs the model elsewhere, as plain JSON: inputs, their scaling, classes."""
        inputs = [
            {"shape": list(value.shape[1:]), "type": str(value.dtype).removeprefix("torch.")}
            for value in self.example(1)
        ]
        mean, std = (None if value is None else list(value) for value in (self.mean, self.std))
        return {"name": self.name, "classes": list(self.classes), "inputs": inputs, "mean": mean, "std": std}


class Subset(Samples):
    """Some samples of others, by index."""

    def __init__(self, whole: Samples, indices: Sequence[int]) -> None:
        self.whole, self.indices = whole, list(indices)

    @cached_property
    def digest(self) -> str:
        """Hex digits that change with the whole, or with which of it was chosen."""
        return hashlib.sha256(f"{self.whole.digest} {self.indices}".encode()).hexdigest()

    def __len__(self) -> int:
        return len(self.indices)

    def batch(self, indices: Sequence[int]) -> tuple[tuple[Tensor, ...], Tensor]:
        return self.whole.batch([self.indices[int(i)] for i in indices])


def _own(data: Samples) -> Samples:
    """Return samples that do not drag along the whole of which they are a part."""
    return ArraySamples(*data.batch(range(len(data)))) if isinstance(data, Subset) else data


def _loss(loss: str | Loss) -> Loss:
    if callable(loss):
        return loss
    if loss not in LOSSES:
        raise WorkbenchError(f"loss {loss!r} is not known; known are {', '.join(LOSSES)}, or give a function")
    return LOSSES[loss]


def logits(output: Any) -> Tensor:
    """Return the tensor that is judged, from what a model gave.

    A tensor is itself; an output with `.logits` gives these; of a tuple or dict the first tensor counts.
    """
    if isinstance(output, Tensor):
        return output
    if hasattr(output, "logits"):
        return output.logits  # type: ignore[no-any-return]  # the attribute of a transformers output
    values = list(output.values()) if isinstance(output, dict) else list(output)
    for value in values:
        if isinstance(value, Tensor):
            return value
    raise WorkbenchError(f"the model's output of type {type(output).__name__} holds no tensor to judge")
