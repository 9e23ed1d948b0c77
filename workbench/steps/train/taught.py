"""A teacher for steps that train: what it gives is a part of the loss, beside the labels.

Hinton, Vinyals, Dean: "Distilling the Knowledge in a Neural Network", 2015.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.errors import WorkbenchError, first_line
from workbench.loading.exported import folder_digest
from workbench.loading.load import load_model
from workbench.model.twin import model_on, twin
from workbench.steps.context import Context
from workbench.steps.option import option
from workbench.steps.train.gradient_step import GradientStep
from workbench.steps.train.precision import full, suited
from workbench.steps.train.training import Objective
from workbench.task.batch import Tree, leaves, outputs_of
from workbench.task.device import device_of
from workbench.task.task import Task

Run = Callable[[nn.Module, tuple[Tensor, ...]], Tree]


def soft_targets(outputs: Tensor, wanted: Tensor, temperature: float) -> Tensor:
    """Return the mean Kullback-Leibler divergence of softened classes, times the temperature squared (Hinton et al.).

    Args:
        outputs: Logits [n, ..., classes].
        wanted: The teacher's, of the same shape.
        temperature: What both are divided by. The factor keeps gradients as large as those of labels.
    """
    mine, theirs = (F.log_softmax(x.flatten(0, -2).float() / temperature, dim=-1) for x in (outputs, wanted))
    return F.kl_div(mine, theirs, reduction="batchmean", log_target=True) * temperature**2


@dataclass(frozen=True, kw_only=True)
class TaughtStep(GradientStep):
    """A step that trains and may have a teacher, by default the uncompressed model."""

    teacher: str = option("", "Folder of an exported model that teaches; empty for the uncompressed model.", more=True)
    soft: float = option(
        0.0,
        "Part of the teacher's outputs in the loss; the rest is that of the labels. At 0 there is no teacher.",
        low=0.0,
        high=1.0,
        step=0.05,
        more=True,
    )
    temperature: float = option(
        4.0, "What logits are divided by: more shows more of the wrong classes.", low=0.1, high=100.0, more=True
    )

    def outside(self) -> str:
        return folder_digest(Path(self.teacher)) if self.teacher else ""

    def made_teacher(self, model: nn.Module, context: Context) -> nn.Module:
        """Return the teacher, in evaluation mode.

        Raises:
            WorkbenchError: It cannot be loaded, or its outputs have another shape than the model's.
        """
        teacher = context.subject.model
        if self.teacher:
            teacher = model_on(load_model(self.teacher), device_of(model))
        teacher = twin(teacher)
        try:
            with torch.no_grad():
                outputs = [leaves(outputs_of(net, context.example())) for net in (teacher, twin(model))]
            shapes = [" and ".join(str(tuple(value.shape)) for value in values) for values in outputs]
        except WorkbenchError:
            raise
        except Exception as error:  # a teacher from elsewhere may raise anything
            raise WorkbenchError(f"the teacher fails on the task's inputs: {first_line(error)}") from error
        if shapes[0] != shapes[1]:
            raise WorkbenchError(f"the teacher gives {shapes[0]} and the model {shapes[1]}; both must be the same")
        return teacher

    def class_gap(self, outputs: Tensor, wanted: Tensor, labels: Tensor) -> Tensor:
        """Return how far classes are from the teacher's.

        Args:
            outputs: Logits [n, classes].
            wanted: The teacher's.
            labels: Class numbers [n], or what is said of each class, [n, classes].
        """
        return soft_targets(outputs, wanted, self.temperature)

    def taught_loss(self, task: Task, outputs: Tree, wanted: Tree, targets: Tree) -> Tensor:
        """Return the loss of outputs that are to be what the teacher gives, `wanted`, and what the labels say.

        Raises:
            WorkbenchError: A part of the loss is that of the labels, and the task has none.
        """
        if task.metric.classes is not None:
            (mine, labels, counted, _), (theirs, *_) = (
                task.metric.classes.aligned(o, targets) for o in (outputs, wanted)
            )
            gap = self.class_gap(mine[counted], theirs[counted], labels[counted])
        else:
            pairs = zip(leaves(outputs), leaves(wanted), strict=True)
            gap = torch.stack([F.mse_loss(mine, theirs) for mine, theirs in pairs]).mean()
        if self.soft == 1:
            return gap
        return self.soft * gap + (1 - self.soft) * task.training_loss(outputs, targets)

    def objective(self, model: nn.Module, context: Context, run: Run = outputs_of) -> Objective:
        """Return the loss of a model and a batch, without a teacher where `soft` is 0.

        Args:
            model: The model before training, which the teacher has to suit.
            context: Gives the uncompressed model and the task.
            run: From a model and inputs to outputs.
        """
        task = context.subject.task
        teacher = self.made_teacher(model, context) if self.soft else None

        def loss(model: nn.Module, inputs: tuple[Tensor, ...], targets: Tree) -> Tensor:
            outputs = full(run(model, inputs))
            if teacher is None:
                return task.training_loss(outputs, targets)
            with torch.no_grad():
                wanted = full(outputs_of(teacher, suited(teacher, inputs)))
            return self.taught_loss(task, outputs, wanted, targets)

        return loss
