"""Gradual pruning: weights go little by little while the model trains, fast at first and slowly at the end.

Zhu, Gupta: "To prune, or not to prune: exploring the efficacy of pruning for model compression", 2018. Growing back
where the loss is steepest: Evci et al.: "Rigging the Lottery: Making All Tickets Winners", 2020.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from workbench.errors import WorkbenchError
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
from workbench.task.task import Task


def cubic(done: float, amount: float) -> float:
    """Return the part that is pruned when the part `done`, 0 to 1, of the ramp is over: amount (1 - (1 - done)^3)."""
    return amount * (1 - (1 - min(max(done, 0.0), 1.0)) ** 3)


def without_gone(scores: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return scores in which what is gone already comes last, so that nothing grows back."""
    return {
        name: score.double().masked_fill(~masks[name], -torch.inf) if name in masks else score.double()
        for name, score in scores.items()
    }


def exchanged(done: float, part: float) -> float:
    """Return which part of the weights that stay is exchanged when the part `done`, 0 to 1, of the ramp is over."""
    return part * (1 + math.cos(math.pi * min(max(done, 0.0), 1.0))) / 2


def regrown(
    masks: Mapping[str, Tensor],
    fewer: Mapping[str, Tensor],
    slopes: Mapping[str, Tensor],
    allowed: Mapping[str, Tensor],
) -> dict[str, Tensor]:
    """Return masks with as many weights as `masks` in each layer: those of `fewer`, and those of the steepest loss.

    Args:
        masks: By parameter, true where a weight would stay.
        fewer: The same with fewer weights.
        slopes: Gradients of the loss in all weights, gone ones too.
        allowed: Where weights may grow at all; everywhere in parameters that it does not name.
    """
    grown = {}
    for name, mask in fewer.items():
        steep = slopes[name].abs().masked_fill(mask | ~allowed.get(name, torch.ones_like(mask)), -1.0).flatten()
        count = min(int(masks[name].sum()) - int(mask.sum()), int((steep >= 0).sum()))
        grown[name] = mask.flatten().index_fill(0, steep.topk(count).indices, True).view(mask.shape)
    return grown


@register
@dataclass(frozen=True, kw_only=True)
class PruneGradually(TaughtStep):
    """Trains while more and more weights become zero, and then on without them; keeps the best epoch of these."""

    kind: ClassVar[str] = "prune_gradually"
    title: ClassVar[str] = "Prune gradually"
    also: ClassVar[str] = "sparsity schedule RigL dynamic sparse training"
    shelf: ClassVar[str] = "Prune"
    position: ClassVar[int] = 6
    summary: ClassVar[str] = (
        "Trains the model while more and more of its least important weights become zero, and then on without "
        "them. What is gone stays gone, unless regrow lets weights come back where the loss is steepest. Needs enough "
        "batches between two portions to recover from each."
    )

    epochs: int = option(4, "Passes over the train data.", unit="epochs", low=1, high=100)
    amount: float = option(0.8, "Part of the weights that is zero in the end.", low=0.0, high=1.0, step=0.01)
    ramp: float = option(0.5, "Part of the training during which weights go.", low=0.0, high=1.0, step=0.05)
    updates: int = option(8, "In how many portions they go.", low=1, high=100, more=True)
    regrow: float = option(
        0.0,
        "Part of the weights that stay which give way, at each portion, to gone ones that would lower the loss most "
        "(RigL); along a cosine to none at the last one.",
        low=0.0,
        high=0.5,
        step=0.05,
        more=True,
    )
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

    def lacks(self, task: Task) -> str:
        words = "regrow is of single weights, so it needs the pattern 'unstructured'"
        return super().lacks(task) or (words if self.regrow and self.pattern != "unstructured" else "")

    def train(self, state: State, context: Context) -> Iterator[Tick | State]:
        task = context.subject.task
        if words := self.lacks(task):
            raise WorkbenchError(f"{self.title}: {words}")
        refuse_grid(state, self.kind)
        model = copy.deepcopy(state.model)
        layers = first_names(state.model, self.chosen(context.layers(state.model)))
        if self.layers == "*":
            layers, _ = judged_weights(WEIGHT_CRITERIA[self.importance], state.model, layers)
        outputs = {name: layer.outputs for name, layer in layers.items()}
        objective, masks = self.objective(state.model, context), zero_masks(model, state.pruned)
        training = self.begin(model, trainable(model), context, masks, objective, regrows=self.regrow > 0)
        updated, batches = -1, self.steps(task)
        quiet = replace(context, progress=context.progress.silent())

        def prune(part: float) -> None:
            nonlocal updated
            if updated < 0:  # the first batch, of all or after it was cut short
                before = round(part * batches) - 1
                updated = self._due(before / batches) if before else 0
            if self._due(part) > updated:
                updated = self._due(part)
                self._prune(training, outputs, updated / self.updates, masks, quiet)

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

    def _prune(
        self,
        training: Training,
        outputs: Mapping[str, int],
        done: float,
        allowed: Mapping[str, Tensor],
        context: Context,
    ) -> None:
        """Prune what is due when the part `done` of the ramp is over; what was pruned before this step never grows."""
        model, amount = finished(training.model, training.model), cubic(done, self.amount)
        scores = WEIGHT_CRITERIA[self.importance].weights(model, list(outputs), context)
        ranked = without_gone(scores, training.masks)
        masks = pattern_masks(ranked, outputs, amount, self.ranking, self.pattern, self.size)
        masks = {name: mask & training.masks.get(name, torch.ones_like(mask)) for name, mask in masks.items()}
        if (part := exchanged(done, self.regrow)) > 0:
            fewer = pattern_masks(ranked, outputs, amount + part * (1 - amount), self.ranking, self.pattern, self.size)
            fewer = {name: mask & masks[name] for name, mask in fewer.items()}
            masks = regrown(masks, fewer, training.slopes(fewer), allowed)
        training.masks.update(masks)
        training.hold()
