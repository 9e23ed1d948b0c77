"""Plain fine-tuning on the train split, to win back what compression lost."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from workbench.jobs.progress import Tick
from workbench.steps.context import Context
from workbench.steps.state import State
from workbench.steps.train.place import Place
from workbench.steps.train.training import GradientStep, Training, finished, judge, refuse_grid, trainable, zero_masks


@dataclass(frozen=True, kw_only=True)
class FineTune(GradientStep):
    """Trains on for a few epochs and keeps the epoch that validates best. Pruned weights stay zero."""

    kind: ClassVar[str] = "fine_tune"
    title: ClassVar[str] = "Fine-tune"
    shelf: ClassVar[str] = "Recover"
    summary: ClassVar[str] = (
        "Trains the compressed model on for a few epochs on the train data, with weights that were pruned "
        "kept at zero, and keeps the epoch that scores best on validation."
    )

    def train(self, state: State, context: Context) -> Iterator[Tick | State]:
        task = context.subject.task
        refuse_grid(state, self.kind)
        model = copy.deepcopy(state.model)
        names = {layer.parameter for layer in self.chosen(context.layers(state.model))}
        parameters = trainable(model, names if self.layers != "*" or self.exclude else None)
        training = Training(model, parameters, self, context, zero_masks(model, state.pruned))
        yield from self.best_epochs(
            training,
            Place(context, self, state),
            task,
            lambda: judge(model, task),
            lambda: state.with_model(finished(model)),
        )
