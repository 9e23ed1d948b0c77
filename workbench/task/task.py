"""What a model is for: its data, how it is judged, and what it learns from."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor

from workbench.errors import WorkbenchError, within
from workbench.task.batch import Call, Output, entering
from workbench.task.classes import IGNORED, Classes
from workbench.task.device import CPU
from workbench.task.identity import code_digest
from workbench.task.loss import LOSSES, Loss, NamedLoss, loss_of
from workbench.task.metric import Judge, Metric
from workbench.task.named import metric_of
from workbench.task.samples import ArraySamples, Lazy, Placed, Read, Samples, at_rest
from workbench.task.sources import samples

Split = Literal["train", "validation", "test", "calibration"]
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
        metric: One of `workbench.task.named.NAMES` ("accuracy", "f1", "miou", "perplexity", "mse" and the like), a
            `Metric`, a `torchmetrics.Metric`, or `f(outputs, targets)`, which gives a value for each sample or one.
        loss: By default what fits the metric; one of `LOSSES` or `f(outputs, targets) -> scalar`. A metric for which
            none is known can be scored and not trained.
        classes: Class names, in the order of the labels.
        output: What of the model's output is judged: a key, an attribute, an index, several keys as a tuple, or a
            function of the output. By default the tensor that there is, or `logits`; where several fit, it is asked.
        target: Which key of a sample that is a dict is the target; "labels", "label", "targets", "target" by default.
        class_dim: Dimension of the outputs that counts classes, where shapes do not tell.
        ignored: A label that does not count, -100 by default.
        higher_is_better: Of a function as metric. Where it is not said it is found out by trying, and told.
        mean: Per channel, for uint8 images, after division by 255.
        std: Per channel, for uint8 images.
        name: What people read.
        describe: A sample's inputs, without the batch, as text; for samples that are no pictures.

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
        metric: str | Metric | Judge | Any = "accuracy",
        loss: str | Loss | None = None,
        classes: Sequence[str] = (),
        output: Output = None,
        target: str = "",
        class_dim: int | None = None,
        ignored: int = IGNORED,
        higher_is_better: bool | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        name: str = "",
        describe: Callable[[tuple[Tensor, ...]], str] | None = None,
    ) -> None:
        if (mean is None) != (std is None):
            raise WorkbenchError("normalisation needs both mean and std")
        self.name, self.describe = name, describe
        self._counting = Classes(class_dim, ignored)
        self.metric = metric_of(metric, self._counting, higher_is_better)
        self.loss = loss_of(loss or self.metric.loss, self.metric.classes or self._counting)
        self.classes = tuple(str(c) for c in classes)
        self.call, self._target = Call(output=output), target
        self._called: dict[Split, Samples] = {}
        self.device = CPU
        self.mean, self.std = mean, std
        splits = {"train": train, "validation": validation, "test": test, "calibration": calibration}
        self._splits = {key: self._lazy(key, value) for key, value in splits.items() if value is not None}
        if "validation" not in self._splits:
            raise WorkbenchError("a task needs validation data: it is what every choice is steered by")

    def _lazy(self, split: str, data: Any) -> Lazy:
        def make() -> Samples:
            value = data() if callable(data) and not hasattr(data, "__getitem__") else data
            with within(f"{split} data"):
                read = samples(value, self.mean, self.std, self._target)
                self._check_labels(read)
            return read

        lazy = Lazy(make)
        if not callable(data):
            lazy.get()
        return lazy

    def _check_labels(self, data: Samples) -> None:
        targets = getattr(data, "targets", None)
        if self.metric.classes is None or not isinstance(targets, Tensor) or targets.is_floating_point():
            return
        counted = targets[targets != self.metric.classes.ignored]
        if not counted.numel():
            raise WorkbenchError(f"every label is {self.metric.classes.ignored}, which does not count")
        low, high = int(counted.min()), int(counted.max())
        if low < 0:
            raise WorkbenchError(
                f"labels must not be negative; the smallest is {low}. If nothing counts there, give ignored={low}"
            )
        if self.classes and high >= len(self.classes) and targets.ndim == 1:
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
        if split not in self._called:
            read = self._splits[split].get().called(self.call)
            self._called[split] = read if self.device == CPU else Placed(read, self.device)
        return self._called[split]

    @property
    def training_loss(self) -> Loss:
        """What trains a model.

        Raises:
            WorkbenchError: The task has no loss.
        """
        if self.loss is None:
            raise WorkbenchError(
                f"nothing says what trains a model for {self.metric.name}; give loss=... to wb.Task, one of "
                f"{', '.join(LOSSES)} or a function of outputs and targets"
            )
        return self.loss

    def settled(self, metric: Metric, call: Call) -> Task:
        """Return the same task with what was learnt of how outputs are judged, and of how a model is called.

        The loss follows the metric in where classes lie.
        """
        task = copy.copy(self)
        task.metric, task.call, task._called = metric, call, {}
        if isinstance(self.loss, NamedLoss) and metric.classes is not None:
            task.loss = replace(self.loss, classes=metric.classes)
        return task

    def on(self, device: torch.device) -> Task:
        """Return the same task, whose batches are on a device."""
        if device == self.device:
            return self
        task = copy.copy(self)
        task.device, task._called = device, {}
        return task

    def _calibration(self) -> Samples:
        train = at_rest(self.split("train"))
        order = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))
        return Subset(train, order[:CALIBRATION_SAMPLES].tolist())

    def portable(self, train: bool = False) -> Task:
        """Return the task with what steering needs, and nothing that is still to be made: for other processes.

        Args:
            train: Whether the train split goes along.
        """
        task, splits = copy.copy(self), (*STEERING, *(("train",) if train else ()))
        task._splits = {split: Lazy.of(_own(at_rest(self.split(split)))) for split in splits if self.has(split)}
        task._called = {}
        return task

    def example(self, count: int = 1) -> tuple[Tensor, ...]:
        """Return the inputs of the first validation samples, each `[count, ...]`, as `Inputs`."""
        validation = self.split("validation")
        return validation.batch(range(min(count, len(validation))))[0]

    def digest(self, *splits: Split) -> str:
        """Return hex digits that change with the data of these splits, the metric and the loss, code included."""
        data = [self.split(split).digest for split in splits if self.has(split)]
        return code_digest(data, self.metric, self.loss, self.classes)

    def facts(self, model: Any = None) -> dict[str, Any]:
        """Return what someone needs who runs the model elsewhere, as plain JSON: inputs, their scaling, classes.

        Args:
            model: Whose inputs they are, where it gets others than the task gives.
        """
        example = entering(model, self.example(1))
        inputs = [
            {"shape": list(value.shape[1:]), "type": str(value.dtype).removeprefix("torch.")} for value in example
        ]
        mean, std = (None if value is None else list(value) for value in (self.mean, self.std))
        return {"name": self.name, "classes": list(self.classes), "inputs": inputs, "mean": mean, "std": std}


class Subset(Samples):
    """Some samples of others, by index."""

    def __init__(self, whole: Samples, indices: Sequence[int]) -> None:
        self.whole, self.indices, self.device = whole, list(indices), whole.device

    @cached_property
    def digest(self) -> str:
        """Hex digits that change with the whole, or with which of it was chosen."""
        return hashlib.sha256(f"{self.whole.digest} {self.indices}".encode()).hexdigest()

    def __len__(self) -> int:
        return len(self.indices)

    def called(self, call: Call) -> Subset:
        return Subset(self.whole.called(call), self.indices)

    def batch(self, indices: Sequence[int]) -> Read:
        return self.whole.batch([self.indices[int(i)] for i in indices])


def _own(data: Samples) -> Samples:
    """Return samples that do not drag along the whole of which they are a part."""
    return ArraySamples(*data.batch(range(len(data)))) if isinstance(data, Subset) else data
