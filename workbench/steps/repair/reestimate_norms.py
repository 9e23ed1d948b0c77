"""Batch norm re-estimation: compression shifts what enters a norm, so its running mean and variance are taken anew.

Wu, Johnson: "Rethinking 'Batch' in BatchNorm", 2021, section 3 (PreciseBN): the statistics of the whole population,
not a moving average. Batches are normalised by their own statistics while they pass, as in training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from workbench.errors import WorkbenchError
from workbench.jobs.progress import Tick
from workbench.jobs.turn import TURN
from workbench.model.quantizer import entering
from workbench.model.twin import sharing_copy, twin
from workbench.registry import register
from workbench.steps.context import Context
from workbench.steps.option import option
from workbench.steps.state import State
from workbench.steps.step import Need, TrainingStep
from workbench.steps.train.schedules import batches
from workbench.task.batch import call


class Moments:
    """Mean and variance of every channel, over batches of any size."""

    def __init__(self) -> None:
        self._count, self._sum, self._squares = 0, torch.zeros(()), torch.zeros(())

    def add(self, values: Tensor) -> None:
        """Take in values [N, C, ...]."""
        rows = values.detach().double().transpose(0, 1).flatten(1)
        self._count += rows.shape[1]
        self._sum, self._squares = self._sum + rows.sum(1), self._squares + rows.square().sum(1)

    @property
    def mean(self) -> Tensor:
        """float64 [C]."""
        return self._sum / self._count

    @property
    def variance(self) -> Tensor:
        """Without bias, float64 [C]."""
        return (self._squares / self._count - self.mean.square()).clamp(min=0) * self._count / (self._count - 1)


def norms(model: nn.Module) -> list[str]:
    """Return the names of batch norms that keep running statistics."""
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, _BatchNorm) and module.running_mean is not None
    ]


def readers(model: nn.Module, layers: set[str], names: list[str], example: tuple[Tensor, ...]) -> list[str]:
    """Return the named modules that read what one of the layers gives, with nothing in between."""
    outputs: list[Any] = []
    read_by: list[str] = []

    def reads(name: str) -> Callable[..., None]:
        def hook(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            if any(entering(args, kwargs) is value for value in outputs):
                read_by.append(name)

        return hook

    watched = twin(model)
    for layer in layers:
        watched.get_submodule(layer).register_forward_hook(lambda _, __, output: outputs.append(output))
    for name in names:
        watched.get_submodule(name).register_forward_pre_hook(reads(name), with_kwargs=True)
    with TURN, torch.no_grad():
        call(watched, example)
    return [name for name in names if name in read_by]


@register
@dataclass(frozen=True, kw_only=True)
class ReestimateNorms(TrainingStep):
    """Takes the running statistics of batch norms anew from train data. Nothing else changes."""

    kind: ClassVar[str] = "reestimate_norms"
    title: ClassVar[str] = "Re-estimate norms"
    shelf: ClassVar[str] = "Repair"
    position: ClassVar[int] = 6
    summary: ClassVar[str] = (
        "Takes the means and variances of batch norms anew from train data, all of them or those right behind the "
        "chosen layers. No weight changes; it takes seconds and undoes much of what pruning and rounding shift."
    )

    samples: int = option(2000, "Train samples to look at, drawn by the seed.", unit="samples", low=2, high=1_000_000)
    batch_size: int = option(256, "Samples that are normalised together.", unit="samples", low=2, high=4096)

    def needs(self) -> frozenset[Need]:
        return super().needs() | {Need.TRAIN}

    def train(self, state: State, context: Context) -> Iterator[Tick | State]:
        chosen = {layer.module for layer in self.chosen(context.layers(state.model)) if layer.output}
        names = norms(state.model)
        if names and (self.layers != "*" or self.exclude):
            names = readers(state.model, chosen, names, context.example())
        if not names:
            raise WorkbenchError(
                f"{self.title}: there is no batch norm with running statistics behind the chosen layers; other norms "
                "keep none, and folding batch norms into their layers leaves none"
            )
        data = context.subject.task.split("train")
        order = torch.randperm(len(data), generator=context.generator())[: self.samples]
        if len(order) < 2:
            raise WorkbenchError(f"{self.title}: one train sample has no variance; it needs two or more")
        moments = {name: Moments() for name in names}
        passed = sharing_copy(state.model, {name: value.clone() for name, value in state.model.named_buffers()})
        for name, module in passed.named_modules():
            module.training = isinstance(module, _BatchNorm)
            if name in moments:
                module.register_forward_pre_hook(
                    lambda _, args, kwargs, seen=moments[name]: seen.add(entering(args, kwargs)), with_kwargs=True
                )
        parts = batches(order, self.batch_size)
        for number, indices in enumerate(parts, 1):
            inputs, _ = data.batch(indices.tolist())
            with TURN, torch.no_grad():
                call(passed, inputs)
            yield Tick(number / len(parts), "means and variances")
        values: dict[str, Tensor] = {}
        for name, seen in moments.items():
            for buffer, value in (("running_mean", seen.mean), ("running_var", seen.variance)):
                before = state.model.get_submodule(name).get_buffer(buffer)
                values[f"{name}.{buffer}" if name else buffer] = value.to(before.dtype)
        yield state.with_model(sharing_copy(state.model, values))
