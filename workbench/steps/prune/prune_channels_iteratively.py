"""Channels go in rounds, each followed by training, so that what is left can take over before more goes.

Molchanov et al.: "Pruning Convolutional Neural Networks for Resource Efficient Inference", 2017; every round takes
the same part of what is left, as in Frankle, Carbin: "The Lottery Ticket Hypothesis", 2019.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

from workbench.errors import within
from workbench.jobs.progress import Tick
from workbench.registry import register
from workbench.steps.context import Context
from workbench.steps.option import option
from workbench.steps.prune.budget import BUDGETS, RANKINGS, WORDS, costs_of, counts_for
from workbench.steps.prune.importance import CRITERIA, rank_units
from workbench.steps.prune.importance.ranking import weakest
from workbench.steps.prune.units import free, reached, rewritten, without
from workbench.steps.state import State
from workbench.steps.step import Need
from workbench.steps.train.goal import Goal
from workbench.steps.train.gradient_step import GradientStep
from workbench.steps.train.schedules import Pick
from workbench.steps.train.training import finished, judge, refuse_grid, trainable, zero_masks


@register
@dataclass(frozen=True, kw_only=True)
class PruneChannelsIteratively(GradientStep):
    """Removes channels and trains, in rounds; keeps the best epoch of the last one."""

    kind: ClassVar[str] = "prune_channels_iteratively"
    title: ClassVar[str] = "Prune channels iteratively"
    also: ClassVar[str] = "structured filters rounds"
    summary: ClassVar[str] = (
        "In rounds: ranks channels anew, removes the same part of what is left, and trains. The best epoch after the "
        "last removal is kept. Takes longer than removing all at once, and usually loses less."
    )
    shelf: ClassVar[str] = "Prune"
    position: ClassVar[int] = 8

    epochs: int = option(1, "Passes over the train data in every round.", unit="epochs", low=1, high=100)
    rounds: int = option(3, "How often channels go.", low=1, high=100)
    amount: float = option(0.5, "Part of the budget that is gone in the end.", low=0.0, high=0.95, step=0.01)
    budget: str = option(
        "channels",
        "Of what the amount is a part: of the channels of these layers, or of the parameters (params) or "
        "multiply-accumulates (macs) of the whole model, which are met to within one channel.",
        choices=BUDGETS,
    )
    importance: str = option("taylor", "What decides which channels matter.", choices=CRITERIA)
    ranking: str = option(
        "global",
        "Local takes the same part of every group; global ranks the channels of all groups together; worth does so by "
        "their importance for what they cost in the budget, and takes more from layers that are dear.",
        choices=RANKINGS,
    )
    round_to: int = option(
        1, "The number of channels that stay is a multiple of this.", unit="channels", low=1, high=64
    )

    def needs(self) -> frozenset[Need]:
        return super().needs() | {Need.GRAPH}

    def train(self, state: State, context: Context) -> Iterator[Tick | State]:
        task = context.subject.task
        refuse_grid(state, self.kind)
        self.chosen(context.layers(state.model))  # a name that matches nothing is an error before any work
        steps, done, whole = self.rounds * self.steps(task), 0, 0.0
        pick = Pick(self.patience)
        goal = Goal(context.subject, self.until) if self.until else None
        for number in range(1, self.rounds + 1):
            # The last one is the asked amount and not what rounding makes of it.
            left = 1 - self.amount if number == self.rounds else (1 - self.amount) ** (number / self.rounds)
            state, whole = self._smaller(state, context, left, whole)
            model = copy.deepcopy(state.model)  # what was not cut is shared with the subject
            training = self.begin(model, trainable(model), context, zero_masks(model, state.pruned))
            for epoch in range(1, self.epochs + 1):
                title = f"round {number} of {self.rounds}, epoch {epoch} of {self.epochs}"
                for loss in training.epoch():
                    done += 1
                    yield Tick.of_training(done / steps, title, loss=loss)
                score = judge(training.model, task)
                yield Tick.of_training(done / steps, title, score=score)
                near = goal is not None and goal.reached(training.model)
                # Before the last round the model is not what was asked for, however good it is.
                if number == self.rounds and pick.takes(score):
                    notes = [f"{self.title.lower()}: {title}, {goal.words}"] if goal is not None else []
                    yield state.with_model(finished(training.model, state.model)).with_notes(*notes)
                if pick.over:
                    return
                if near:
                    break
            state = state.with_model(finished(training.model, state.model))

    def _smaller(self, state: State, context: Context, left: float, whole: float) -> tuple[State, float]:
        """Return the state with so much `left` of the `whole` cost, 0.0 for what there is, and that cost."""
        quiet = replace(context, progress=context.progress.silent())
        criterion = CRITERIA[self.importance]
        with within(self.title):
            model, every = context.channels(state.model)
            groups, notes = free(reached(every, self.layers, self.exclude), model, self.layers, criterion)
            scores = rank_units(criterion, model, groups, quiet)
            costs = costs_of(self.budget, model, groups, scores, context.example())
            whole = whole or costs.after({})
            counts = counts_for(
                costs,
                left * whole,
                scores,
                {},
                self.ranking,
                self.round_to,
                criterion.comparable,
                WORDS[self.budget],
            )
            remove = weakest(scores, counts, 1)
            notes = (*notes, *rewritten(state.model, model))
            smaller = without(state, model, groups, remove, quiet)
            return smaller.with_notes(*(note for note in notes if note not in state.notes)), whole
