"""A new last layer for other classes, so that a trained network is carried over to another task.

Yosinski et al.: "How Transferable are Features in Deep Neural Networks?", 2014. The new layer may start as the linear
discriminant of what enters it (Fisher: "The Use of Multiple Measurements in Taxonomic Problems", 1936), which is the
best that Gaussian features of one covariance allow, and takes one pass over the data.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from workbench.errors import WorkbenchError
from workbench.jobs.turn import TURN
from workbench.model.quantizer import quantizers
from workbench.model.twin import sharing_copy, twin
from workbench.registry import register
from workbench.steps.calibration import calibration_batches, calls_in, damped
from workbench.steps.context import Context
from workbench.steps.option import option
from workbench.steps.state import State
from workbench.steps.step import GraphStep, Need
from workbench.task.batch import call, leaves, outputs_of

DAMPING = 0.01  # of the mean variance: with few samples a covariance has directions of none


def discriminant(features: Tensor, labels: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Return weight [classes, d] and bias [classes] of the linear discriminant, float64.

    Classes without a sample get the mean of all, and the chance of half a sample.

    Args:
        features: [n, d].
        labels: Class numbers [n].
        classes: How many there are.
    """
    features = features.double()
    counts = torch.bincount(labels, minlength=classes).double()
    sums = features.new_zeros(classes, features.shape[1]).index_add_(0, labels, features)
    means = torch.where(counts[:, None] > 0, sums / counts[:, None].clamp(min=1), features.mean(0))
    inner = features - means[labels]
    covariance = damped((inner.T @ inner / len(features))[None], DAMPING)[0]
    weight: Tensor = torch.linalg.solve(covariance, means.T).T
    chance = counts.clamp(min=0.5) / counts.clamp(min=0.5).sum()
    return weight, chance.log() - (weight * means).sum(1) / 2


def drawn(classes: int, inside: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return weight and bias as `nn.Linear` draws them, [classes, inside] and [classes]."""
    reach = 1 / math.sqrt(inside)
    weight = torch.empty(classes, inside).uniform_(-reach, reach, generator=generator)
    return weight, torch.empty(classes).uniform_(-reach, reach, generator=generator)


@register
@dataclass(frozen=True, kw_only=True)
class ReplaceHead(GraphStep):
    """Puts a new last layer in the place of the old one."""

    kind: ClassVar[str] = "replace_head"
    title: ClassVar[str] = "Replace head"
    shelf: ClassVar[str] = "Recover"
    position: ClassVar[int] = 5
    summary: ClassVar[str] = (
        "Puts a new last layer in the place of the old one, for the classes of another task. Train it afterwards: "
        "alone with Fine-tune on that layer, or all layers with learning rates that fall with depth."
    )
    layer_kinds: ClassVar[tuple[str, ...]] = ("linear",)

    classes: int = option(
        0, "Outputs of the new layer; 0 for as many as labels name.", unit="classes", low=0, high=100_000
    )
    start: str = option(
        "discriminant",
        "Begin as the linear discriminant of what enters on calibration data, or with random numbers.",
        choices=("discriminant", "random"),
    )

    def needs(self) -> frozenset[Need]:
        looks = self.start == "discriminant" or not self.classes
        return super().needs() | ({Need.CALIBRATION} if looks else set())

    def build(self, state: State, context: Context) -> State:
        if quantizers(state.model):
            raise WorkbenchError(f"{self.title}: activations are on grids; put {self.kind} before")
        name = self._head(state, context)
        head = state.model.get_submodule(name)
        inside = int(head.get_parameter("weight").shape[1])
        if Need.CALIBRATION in self.needs():
            features, labels = self._seen(state.model, name, context)
            classes = self.classes or int(labels.max()) + 1
            if int(labels.max()) >= classes:
                raise WorkbenchError(f"{self.title}: labels name class {int(labels.max())}, beyond {classes} classes")
        else:
            classes = self.classes
        weight, bias = (
            discriminant(features, labels, classes)
            if self.start == "discriminant"
            else drawn(classes, inside, context.generator())
        )
        linear = nn.Linear(inside, classes, device="meta")
        for part, value in (("weight", weight), ("bias", bias)):
            linear._parameters[part] = nn.Parameter(value.to(head.get_parameter("weight")))  # its type and device
        model = sharing_copy(state.model)
        linear.train(head.training)
        if name:
            model.set_submodule(name, linear)
        gone = [one for one in (f"{name}.weight", f"{name}.bias") if one in state.codings or one in state.pruned]
        codings = {one: coding for one, coding in state.codings.items() if one not in gone}
        notes = [f"{', '.join(gone)}: stored in full again, because it is new"] if gone else []
        new = state.with_model(model if name else linear, codings=codings)
        return new.with_notes(f"{name or 'the model'}: a new layer of {classes} outputs", *notes)

    def _head(self, state: State, context: Context) -> str:
        """Return the name of the linear layer that makes the model's output."""
        model, example = state.model, context.example()
        layers = [layer for layer in self.chosen(context.layers(model)) if layer.is_whole and self.acts_on(layer)]
        plain = [layer for layer in layers if type(model.get_submodule(layer.module)) is nn.Linear and not layer.ties]
        called = calls_in(model, [layer.module for layer in plain], example)
        with TURN, torch.no_grad():
            outputs = leaves(outputs_of(twin(model), example))
        if not called or called.count(called[-1]) > 1 or len(outputs) != 1:
            raise WorkbenchError(f"{self.title}: no linear layer of its own, called once, makes the model's one output")
        width = int(model.get_submodule(called[-1]).get_parameter("weight").shape[0])
        if outputs[0].ndim != 2 or outputs[0].shape[1] != width:
            raise WorkbenchError(
                f"{self.title}: {called[-1]} gives {width} numbers, and the model {tuple(outputs[0].shape[1:])}"
            )
        return called[-1]

    def _seen(self, model: nn.Module, name: str, context: Context) -> tuple[Tensor, Tensor]:
        """Return what enters a layer on calibration data, [n, d], and the labels, [n]."""
        watched, features, labels = twin(model), list[Tensor](), list[Tensor]()

        def note(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            features.append((args or tuple(kwargs.values()))[0].detach())

        watched.get_submodule(name).register_forward_pre_hook(note, with_kwargs=True)
        for inputs, targets in calibration_batches(context.subject.task, context.progress, "looking at features"):
            if not isinstance(targets, Tensor) or targets.ndim != 1 or targets.is_floating_point():
                raise WorkbenchError(f"{self.title}: labels must be one class number for each sample")
            labels.append(targets.long())
            with TURN, torch.no_grad():
                call(watched, inputs)
        return torch.cat(features), torch.cat(labels)
