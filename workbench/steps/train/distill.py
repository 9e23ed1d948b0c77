"""Distillation: the compressed model learns from what a better one gives, and not from the labels alone.

Hinton, Vinyals, Dean: "Distilling the Knowledge in a Neural Network", 2015 (soft targets); Romero et al.: "FitNets:
Hints for Thin Deep Nets", 2015 (features); Zagoruyko, Komodakis: "Paying More Attention to Attention: Improving the
Performance of Convolutional Neural Networks via Attention Transfer", 2017; Park et al.: "Relational Knowledge
Distillation", 2019; Zhao et al.: "Decoupled Knowledge Distillation", 2022. Features and attention are compared module
by module under the same name, so nothing has to be learned in between, and all differences are relative: the same
weight suits modules of any size.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.errors import WorkbenchError
from workbench.jobs.progress import Tick
from workbench.model.layers import globs
from workbench.model.twin import twin
from workbench.registry import register
from workbench.steps.context import Context
from workbench.steps.option import option
from workbench.steps.state import State
from workbench.steps.step import Stage
from workbench.steps.train.decoupled import decoupled_targets
from workbench.steps.train.precision import full, suited
from workbench.steps.train.relations import relation_gap
from workbench.steps.train.taught import TaughtStep
from workbench.steps.train.training import Objective, finished, judge, refuse_grid, trainable, zero_masks
from workbench.steps.train.training_checkpoint import TrainingCheckpoint
from workbench.task.batch import Tree, call, outputs_of
from workbench.task.task import Task


def feature_gap(features: Tensor, wanted: Tensor) -> Tensor:
    """Return the squared difference of two outputs of one shape, relative to the square of the wanted one (FitNets)."""
    return F.mse_loss(features.float(), wanted.float()) / wanted.float().square().mean().clamp(min=1e-12)


def attention(features: Tensor, channels: int) -> Tensor:
    """Return where a module's output is large: the squares summed over channels, of unit length for each sample.

    Args:
        features: [n, ...] with channels as one of the dimensions.
        channels: Which.

    Returns:
        [n, positions].
    """
    return F.normalize(features.float().square().sum(channels).flatten(1), dim=1)


def attention_gap(features: Tensor, wanted: Tensor) -> Tensor:
    """Return the squared distance of two attention maps, mean over samples, 0 to 2 (Zagoruyko and Komodakis)."""
    dim = channel_dim(wanted)
    return (attention(features, dim) - attention(wanted, dim)).square().sum(1).mean()


def channel_dim(features: Tensor) -> int:
    """Return the dimension of channels: the last of tokens [n, T, C], the second of images [n, C, H, W]."""
    return -1 if features.ndim == 3 else 1


def positions(features: Tensor) -> tuple[int, ...]:
    """Return the shape without samples and channels."""
    shape = list(features.shape)
    del shape[channel_dim(features)]
    return tuple(shape[1:])


GAPS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "features": feature_gap,
    "attention": attention_gap,
    "relations": relation_gap,
}


@contextmanager
def watched(model: nn.Module, names: list[str]) -> Iterator[dict[str, list[Tensor]]]:
    """Collect what the named modules give while the context is open, call by call."""
    outputs: dict[str, list[Tensor]] = {}

    def look(name: str) -> Callable[..., None]:
        def hook(_: nn.Module, __: Any, output: Any) -> None:
            if isinstance(output, Tensor) and output.is_floating_point():
                outputs.setdefault(name, []).append(output)

        return hook

    modules = dict(model.named_modules())
    handles = [modules[name].register_forward_hook(look(name)) for name in names if name in modules]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


def compared(
    student: nn.Module,
    teacher: nn.Module,
    wanted: str,
    match: str,
    example: tuple[Tensor, ...],
    counterparts: Mapping[str, str] | None = None,
) -> tuple[list[str], dict[str, str]]:
    """Return the teacher's modules whose outputs can be compared, and of the others why not.

    Args:
        student: In evaluation mode.
        teacher: In evaluation mode.
        wanted: Globs of the names of its modules.
        match: "features": outputs of one shape; "attention": of one shape but for channels, and with positions.
        example: Inputs of two or more samples.
        counterparts: For modules of the teacher those of the student, where the names differ.

    Raises:
        WorkbenchError: A glob matches nothing.
    """
    every = [name for name, _ in teacher.named_modules() if name]
    for glob in globs(wanted):
        if not any(fnmatchcase(name, glob) for name in every):
            raise WorkbenchError(f"no module of the teacher matches {glob!r}; there are {', '.join(every[:5])}, …")
    names = [name for name in every if any(fnmatchcase(name, glob) for glob in globs(wanted))]
    own_names = {name: (counterparts or {}).get(name, name) for name in names}
    with torch.no_grad(), watched(teacher, names) as theirs, watched(student, list(own_names.values())) as mine:
        call(teacher, example)
        call(student, example)
    taken, left, seen = [], {}, set()
    for name in (name for name in names if name in theirs):
        own, other = theirs[name], mine.get(own_names[name], [])
        if not other:
            left[name] = "it is not in the model"
        elif len(own) != 1 or len(other) != 1:
            left[name] = "it is called more than once"
        elif match == "features" and own[0].shape != other[0].shape:
            left[name] = "its shape differs"
        elif match == "attention" and (own[0].ndim < 3 or other[0].ndim != own[0].ndim):
            left[name] = "it has no positions"
        elif match == "attention" and positions(own[0]) != positions(other[0]):
            left[name] = "its positions differ"
        # A container gives what its last module gave; it is compared once.
        elif id(own[0]) not in seen:
            seen.add(id(own[0]))
            taken.append(name)
    return taken, left


@register
@dataclass(frozen=True, kw_only=True)
class Distill(TaughtStep):
    """Trains on with a teacher, by default the uncompressed model. Pruned weights stay zero."""

    kind: ClassVar[str] = "distill"
    title: ClassVar[str] = "Distill"
    also: ClassVar[str] = "knowledge distillation teacher student"
    shelf: ClassVar[str] = "Recover"
    position: ClassVar[int] = 2
    stage: ClassVar[Stage] = Stage.RECOVER
    searched: ClassVar[bool] = True
    summary: ClassVar[str] = (
        "Trains the compressed model to give what the uncompressed one gives, at its output and if wanted inside, "
        "with weights that were pruned kept at zero, and keeps the epoch that scores best on validation."
    )

    soft: float = option(
        0.9, "Part of the teacher's outputs in the loss; the rest is that of the labels.", low=0.0, high=1.0, step=0.05
    )
    match: str = option(
        "outputs",
        "Compare outputs only, or also features (same shapes), attention (where features are large; channels may "
        "have gone) or relations (how samples lie to each other; any shapes) of inner modules.",
        choices=("outputs", *GAPS),
    )
    targets: str = option(
        "soft",
        "Of classes: compare all at once, or decoupled: the label's class with the rest, and the others on their own.",
        choices=("soft", "decoupled"),
        more=True,
    )
    others_weight: float = option(
        1.0, "Where decoupled: weight of the other classes; long trainings bear 2 to 8.", low=0.0, high=100.0, more=True
    )
    modules: str = option("*", "Inner modules to compare: names or globs, with commas between them.", more=True)
    match_weight: float = option(1.0, "Weight of inner differences in the loss.", low=0.0, high=1000.0, more=True)

    def class_gap(self, outputs: Tensor, wanted: Tensor, labels: Tensor) -> Tensor:
        if self.targets == "soft" or outputs.shape[1] < 2:
            return super().class_gap(outputs, wanted, labels)
        numbers = labels if labels.ndim == 1 else labels.argmax(1)
        return decoupled_targets(outputs, wanted, numbers, self.temperature, self.others_weight)

    def lacks(self, task: Task) -> str:
        if self.targets == "decoupled" and task.metric.classes is None:
            return "targets are decoupled by class, and the task has no classes"
        return super().lacks(task)

    def train(self, state: State, context: Context) -> Iterator[Tick | State]:
        task = context.subject.task
        refuse_grid(state, self.kind)
        chosen = self.chosen(context.layers(state.model))
        teacher = self.made_teacher(state.model, context)
        taken, left = self._compared(state, teacher, context.example())
        model = copy.deepcopy(state.model)
        trained = trainable(model, chosen if self.layers != "*" or self.exclude else None)
        counterparts = self._counterparts(state)
        objective = self._matching(teacher, task, {name: counterparts.get(name, name) for name in taken})
        training = self.begin(model, trained, context, zero_masks(model, state.pruned), objective)
        notes = self._notes(left)
        yield from self.best_epochs(
            training,
            TrainingCheckpoint(context, self, state),
            task,
            lambda: judge(model, task),
            lambda: state.with_model(finished(model, state.model)).with_notes(*notes),
        )

    def _compared(
        self, state: State, teacher: nn.Module, example: tuple[Tensor, ...]
    ) -> tuple[list[str], dict[str, str]]:
        if self.match == "outputs":
            return [], {}
        taken, left = compared(twin(state.model), teacher, self.modules, self.match, example, self._counterparts(state))
        if not taken:
            why = "; ".join(f"{name}: {reason}" for name, reason in list(left.items())[:3])
            raise WorkbenchError(f"no {self.match} can be compared with the teacher's ({why or 'none was reached'})")
        return taken, left

    def _counterparts(self, state: State) -> dict[str, str]:
        # Of a teacher from elsewhere nothing is known but its names.
        return {} if self.teacher else state.counterparts()

    def _notes(self, left: Mapping[str, str]) -> list[str]:
        return [
            f"{self.match} not compared with the teacher's ({reason}): "
            + ", ".join(name for name, why in left.items() if why == reason)
            for reason in dict.fromkeys(left.values())
        ]

    def _matching(self, teacher: nn.Module, task: Task, taken: Mapping[str, str]) -> Objective:
        def loss(model: nn.Module, inputs: tuple[Tensor, ...], targets: Tree) -> Tensor:
            with torch.no_grad(), watched(teacher, list(taken)) as theirs:
                wanted = full(outputs_of(teacher, suited(teacher, inputs)))
            with watched(model, list(taken.values())) as mine:
                outputs = full(outputs_of(model, inputs))
            total = self.taught_loss(task, outputs, wanted, targets)
            if taken:
                gaps = [GAPS[self.match](mine[own][0], theirs[name][0]) for name, own in taken.items()]
                total = total + self.match_weight * torch.stack(gaps).mean()
            return total

        return loss
