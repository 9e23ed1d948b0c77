"""A net that is tried: how it is made, what goes into it, and what is judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import Dataset

import workbench as wb
from workbench.task.batch import Output, judged
from workbench.task.batch import call as call_model

SAMPLES = 8
Made = tuple[Tensor, ...] | dict[str, Tensor]


@dataclass(frozen=True)
class Net:
    """One net of the table.

    Attributes:
        name: What people read.
        family: Where it comes from.
        build: Makes the module; it is called with a fixed seed.
        inputs: Gives inputs for so many samples, by place or by name.
        classes: Dimension of the outputs that counts classes; None where outputs are values.
        heads: Whether it has attention heads.
        residual: Whether it has residual branches that keep the shape.
        output: As `Task`'s.
    """

    name: str
    family: str
    build: Callable[[], nn.Module]
    inputs: Callable[[int], Made]
    classes: int | None = 1
    heads: bool = False
    residual: bool = True
    output: Output = None

    def model(self) -> nn.Module:
        """Return the net in evaluation mode, the same each time, with statistics that are not the trivial ones."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = self.build().eval()
            for module in model.modules():
                if isinstance(module, _BatchNorm) and module.running_mean is not None and module.affine:
                    nn.init.uniform_(module.weight, 0.5, 1.5)
                    nn.init.normal_(module.bias, 0.0, 0.3)
                    nn.init.normal_(module.running_mean, 0.0, 0.3)
                    nn.init.uniform_(module.running_var, 0.5, 2.0)
            for parameter in model.parameters():
                parameter.requires_grad_(True)
                # What begins as zeros or ones, such as a last layer or the scale of a branch, would hide what is wrong.
                if parameter.numel() > 1 and float(parameter.detach().std()) == 0.0:
                    with torch.no_grad():
                        parameter.add_(0.1 * torch.randn_like(parameter))
        return model

    def subject(self) -> wb.Subject:
        """Return the net with a task whose labels are its own answers, and values the same with noise."""
        model = self.model()
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(1)
            made = self.inputs(SAMPLES)
            outputs = call_model(model, tuple(made)) if isinstance(made, tuple) else model(**made)
            if self.output is not None or not isinstance(outputs, Tensor):
                outputs = _picked(outputs, self.output)
            targets = outputs.argmax(self.classes) if self.classes is not None else _noisy(outputs)
        split = Split(made, targets)
        metric = "accuracy" if self.classes is not None else "mse"
        options: dict[str, Any] = {"class_dim": self.classes} if self.classes is not None else {"loss": "mse"}
        task = wb.Task(validation=split, train=split, metric=metric, output=self.output, **options)
        return wb.Subject(self.name, model, task)


class Split(Dataset[Any]):
    """Inputs by place or by name, and targets."""

    def __init__(self, inputs: Made, targets: Tensor) -> None:
        self.inputs, self.targets = inputs, targets

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, number: int) -> Any:
        if isinstance(self.inputs, Mapping):
            return {name: value[number] for name, value in self.inputs.items()}, self.targets[number]
        return (*(value[number] for value in self.inputs), self.targets[number])


def _picked(outputs: Any, output: Output) -> Tensor:
    from workbench.task.batch import Call, Inputs

    value = judged(outputs, Inputs((), Call(output=output)))
    assert isinstance(value, Tensor)
    return value


def _noisy(values: Tensor) -> Tensor:
    return values + 0.1 * values.std() * torch.randn_like(values)


def images(size: int = 32, channels: int = 3) -> Callable[[int], Made]:
    """Return what draws pictures [n, channels, size, size]."""
    return lambda count: (torch.randn(count, channels, size, size),)


def vectors(*sizes: int) -> Callable[[int], Made]:
    """Return what draws one input [n, *sizes]."""
    return lambda count: (torch.randn(count, *sizes),)


def tokens(length: int = 12, words: int = 60) -> Callable[[int], Made]:
    """Return what draws numbers of tokens [n, length], above the first few that mean something else."""
    return lambda count: (torch.randint(5, words, (count, length)),)


def named(**drawn: Callable[[int], Made]) -> Callable[[int], Made]:
    """Return what draws several inputs, given by name."""
    return lambda count: {name: next(iter(draw(count))) for name, draw in drawn.items()}
