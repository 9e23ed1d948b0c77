"""Plain fine-tuning on the train split, to win back what compression lost."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from workbench.jobs.progress import Tick
from workbench.registry import register
from workbench.steps.context import Context
from workbench.steps.state import State
from workbench.steps.step import Stage
from workbench.steps.train.gradient_step import GradientStep
from workbench.steps.train.training import finished, judge, refuse_grid, trainable, zero_masks
from workbench.steps.train.training_checkpoint import TrainingCheckpoint


@register
@dataclass(frozen=True, kw_only=True)
class FineTune(GradientStep):
    """Trains on for a few epochs and keeps the epoch that validates best. Pruned weights stay zero."""

    kind: ClassVar[str] = "fine_tune"
    title: ClassVar[str] = "Fine-tune"
    also: ClassVar[str] = "retrain recover"
    shelf: ClassVar[str] = "Recover"
    position: ClassVar[int] = 1
    stage: ClassVar[Stage] = Stage.RECOVER
    summary: ClassVar[str] = (
        "Trains the compressed model on for a few epochs on the train data, with weights that were pruned "
        "kept at zero, and keeps the epoch that scores best on validation."
    )

    def train(self, state: State, context: Context) -> Iterator[Tick | State]:
        task = context.subject.task
        refuse_grid(state, self.kind)
        model = copy.deepcopy(state.model)
        chosen = self.chosen(context.layers(state.model))
        trained = trainable(model, chosen if self.layers != "*" or self.exclude else None)
        training = self.begin(model, trained, context, zero_masks(model, state.pruned))
        yield from self.best_epochs(
            training,
            TrainingCheckpoint(context, self, state),
            task,
            lambda: judge(model, task),
            lambda: state.with_model(finished(model, state.model)),
        )
