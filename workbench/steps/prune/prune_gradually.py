"""Gradual pruning: weights go little by little while the model trains, fast at first and slowly at the end.

Zhu, Gupta: "To prune, or not to prune: exploring the efficacy of pruning for model compression", 2018.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from workbench.jobs.progress import Tick
from workbench.model.layers import first_names
from workbench.registry import register
from workbench.steps.context import Context
from workbench.steps.option import option
from workbench.steps.prune.importance import WEIGHT_CRITERIA, judged_weights
from workbench.steps.prune.patterns import PATTERNS, RANKINGS, pattern_masks
from workbench.steps.state import State
from workbench.steps.train.taught import TaughtStep
from workbench.steps.train.training import Training, finished, refuse_grid, trainable, zero_masks
from workbench.steps.train.training_checkpoint import TrainingCheckpoint


def cubic(done: float, amount: float) -> float:
    """Return the part that is pruned when the part `done`, 0 to 1, of the ramp is over: amount (1 - (1 - done)^3)."""
    return amount * (1 - (1 - min(max(done, 0.0), 1.0)) ** 3)


def without_gone(scores: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return scores in which what is gone already comes last, so that nothing grows back."""
    return {
        name: score.double().masked_fill(~masks[name], -torch.inf) if name in masks else score.double()
        for name, score in scores.items()
    }


@register
@dataclass(frozen=True, kw_only=True)
class PruneGradually(TaughtStep):
    """Trains while more and more weights become zero, and then on without them; keeps the best epoch of these."""

    kind: ClassVar[str] = "prune_gradually"
    title: ClassVar[str] = "Prune gradually"
    shelf: ClassVar[str] = "Prune"
    position: ClassVar[int] = 6
    summary: ClassVar[str] = (
        "Trains the model while more and more of its least important weights become zero, and then on without "
        "them. What is gone stays gone. Needs enough batches between two portions to recover from each."
    )

    epochs: int = option(4, "Passes over the train data.", unit="epochs", low=1, high=100)
    amount: float = option(0.8, "Part of the weights that is zero in the end.", low=0.0, high=1.0, step=0.01)
    ramp: float = option(0.5, "Part of the training during which weights go.", low=0.0, high=1.0, step=0.05)
    updates: int = option(8, "In how many portions they go.", low=1, high=100, more=True)
    importance: str = option("magnitude", "What decides which weights matter.", choices=WEIGHT_CRITERIA)
    ranking: str = option(
        "local",
        "Local takes the same part of every layer, output the same of every output of a layer; global ranks the "
        "weights of all layers together.",
        choices=RANKINGS,
        more=True,
    )
    pattern: str = option(
        "unstructured", "Single weights, n:m, square blocks, or whole kernels.", choices=PATTERNS, more=True
    )
    size: int = option(
        4, "Inputs of one group in n:m, or the side of a block.", unit="weights", low=2, high=64, more=True
    )

    def train(self, state: State, context: Context) -> Iterator[Tick | State]:
        task = context.subject.task
        refuse_grid(state, self.kind)
        model = copy.deepcopy(state.model)
        layers = first_names(state.model, self.chosen(context.layers(state.model)))
        if self.layers == "*":
            layers, _ = judged_weights(WEIGHT_CRITERIA[self.importance], state.model, layers)
        outputs = {name: layer.outputs for name, layer in layers.items()}
        objective, masks = self.objective(state.model, context), zero_masks(model, state.pruned)
        training = self.begin(model, trainable(model), context, masks, objective)
        updated = 0
        quiet = replace(context, progress=context.progress.silent())

        def prune(part: float) -> None:
            nonlocal updated
            if self._due(part) > updated:
                updated = self._due(part)
                self._prune(training, outputs, cubic(updated / self.updates, self.amount), quiet)

        yield from self.best_epochs(
            training,
            TrainingCheckpoint(context, self, state),
            task,
            None,
            lambda: state.with_model(finished(model, state.model)).with_masks(*outputs),
            prune,
            # Before the last portion has gone the model is not what was asked for, however good it is.
            lambda: updated == self.updates,
        )

    def _due(self, done: float) -> int:
        """Return how many portions must have gone; all of them once the ramp is over."""
        return self.updates if done >= self.ramp else int(self.updates * done / self.ramp)

    def _prune(self, training: Training, outputs: Mapping[str, int], amount: float, context: Context) -> None:
        model = finished(training.model, training.model)
        scores = WEIGHT_CRITERIA[self.importance].weights(model, list(outputs), context)
        masks = pattern_masks(
            without_gone(scores, training.masks), outputs, amount, self.ranking, self.pattern, self.size
        )
        for name, mask in masks.items():
            training.masks[name] = mask & training.masks.get(name, torch.ones_like(mask))
        training.hold()
