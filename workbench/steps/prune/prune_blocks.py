"""Whole residual branches go, and the model gets shallower: x + f(x) becomes x.

Similarity: Men et al.: "ShortGPT: Layers in Large Language Models are More Redundant Than You Expect", 2024; a branch
matters as little as what it gives back resembles what it got. Loss: He et al.: "What Matters in Transformers? Not All
Attention is Needed", 2024, remove attention and feed-forward branches one by one; Veit, Wilber, Belongie: "Residual
Networks Behave Like Ensembles of Relatively Shallow Networks", 2016, did it with convolutions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.fx import GraphModule

from workbench.errors import WorkbenchError
from workbench.graph import Branch, Bypass, check_same, without_branches
from workbench.jobs.turn import TURN
from workbench.registry import register
from workbench.steps.calibration import calibration_batches
from workbench.steps.context import Context
from workbench.steps.option import option
from workbench.steps.prune.units import reached
from workbench.steps.state import State
from workbench.steps.step import GraphStep, Need
from workbench.task.batch import count, outputs_of


def influence(entering: Tensor, leaving: Tensor) -> Tensor:
    """Return 1 - the cosine of what enters and what leaves a sum, for every sample, float64 [n].

    Args:
        entering: x, [n, ...].
        leaving: x + f(x), in the same shape.
    """
    return 1 - F.cosine_similarity(entering.double().flatten(1), leaving.double().flatten(1))


def rank_branches(traced: GraphModule, candidates: Sequence[Branch], importance: str, context: Context) -> list[float]:
    """Return the importance of every branch on the calibration split: mean influence, or rise of the mean loss.

    Raises:
        WorkbenchError: There is no calibration data.
        Cancelled: It was told to stop.
    """
    task, totals, total = context.subject.task, [0.0] * len(candidates), 0
    for inputs, targets in calibration_batches(task, context.progress, "running branches"):
        total += count(targets)
        with TURN, torch.no_grad():
            whole = Bypass(traced, watched=candidates)
            outputs = outputs_of(whole, inputs)
            for number, branch in enumerate(candidates):
                if importance == "similarity":
                    totals[number] += float(influence(*whole.seen[branch.sum]).sum())
                else:
                    loss = task.training_loss
                    without = loss(outputs_of(Bypass(traced, [branch]), inputs), targets)
                    totals[number] += float(without - loss(outputs, targets)) * count(targets)
    return [value / total for value in totals]


@register
@dataclass(frozen=True, kw_only=True)
class PruneBlocks(GraphStep):
    """Removes whole residual branches; the model is shallower afterwards."""

    kind: ClassVar[str] = "prune_blocks"
    title: ClassVar[str] = "Prune residual blocks"
    also: ClassVar[str] = "depth layer dropping residual"
    summary: ClassVar[str] = (
        "Removes whole residual branches, so that only the shortcut is left: blocks of a residual net, attention and "
        "feed-forward parts of a transformer. Fewer layers are faster on every machine; accuracy needs a recovery."
    )
    shelf: ClassVar[str] = "Prune"
    position: ClassVar[int] = 5

    blocks: int = option(1, "How many go.", unit="branches", low=1, high=1000)
    importance: str = option(
        "similarity",
        "What decides which matter: how much the values that go through change, or how much the loss rises without.",
        choices=("similarity", "loss"),
    )

    def needs(self) -> frozenset[Need]:
        return super().needs() | {Need.CALIBRATION, Need.GRAPH} | ({Need.LOSS} if self.importance == "loss" else set())

    def build(self, state: State, context: Context) -> State:
        self.chosen(context.layers(state.model))  # a name that matches nothing is an error before any work
        traced, every = context.branches(state.model)
        candidates = reached(every, self.layers, self.exclude)
        if len(candidates) < self.blocks:
            names = ", ".join(branch.name for branch in candidates)
            if not every:
                raise WorkbenchError(f"{self.title}: the model has no residual branch that leaves its shape as it is")
            there = (
                f"there are {len(candidates)}: {names}"
                if candidates
                else f"there are {', '.join(b.name for b in every)}"
            )
            raise WorkbenchError(f"{self.title}: {self.blocks} of {self.layers} cannot go; {there}")
        scores = rank_branches(traced, candidates, self.importance, context.within(0.0, 0.8))
        order = sorted(range(len(candidates)), key=lambda number: scores[number])[: self.blocks]
        gone = [candidates[number] for number in sorted(order)]
        smaller = without_branches(traced, gone)
        check_same(Bypass(traced, gone), smaller, context.example())
        return state.with_model(smaller).with_notes(
            *(f"{branch.name}: removed, only its shortcut is left" for branch in gone)
        )
