"""Lottery tickets: train, prune the smallest weights, set the others back to what they were, and train again.

Frankle, Carbin: "The Lottery Ticket Hypothesis: Finding Sparse, Trainable Neural Networks", 2019; Frankle et al.:
"Linear Mode Connectivity and the Lottery Ticket Hypothesis", 2020 (set back to an early epoch and not to the start);
Chen et al.: "The Lottery Ticket Hypothesis for Pre-trained BERT Networks", 2020 (start from trained weights).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from workbench.jobs.progress import Tick
from workbench.model.layers import first_names
from workbench.registry import register
from workbench.steps.context import Context
from workbench.steps.option import option
from workbench.steps.prune.patterns import keep_masks
from workbench.steps.state import State
from workbench.steps.train.chance import OwnChance
from workbench.steps.train.goal import Goal
from workbench.steps.train.gradient_step import GradientStep
from workbench.steps.train.schedules import Pick
from workbench.steps.train.training import finished, judge, refuse_grid, trainable, zero_masks
from workbench.task.device import device_of


def smallest_gone(weights: Mapping[str, Tensor], masks: Mapping[str, Tensor], amount: float) -> dict[str, Tensor]:
    """Return masks in which `floor(amount * n)` of all weights together are false, those of the smallest magnitude.

    What is false in `masks` stays so, and counts.
    """
    scores = {
        name: weight.abs().masked_fill(~masks[name], -1.0) if name in masks else weight.abs()
        for name, weight in weights.items()
    }
    survivors = keep_masks(scores, amount, together=True)
    return {name: mask & (scores[name] >= 0) for name, mask in survivors.items()}


def drawn_again(model: nn.Module, seed: int) -> None:
    """Give every module that knows how to its initial weights, in place, the same for the same seed."""
    with OwnChance(seed, device_of(model)).drawing():
        for module in model.modules():
            reset = getattr(module, "reset_parameters", None)
            if callable(reset):
                reset()


@register
@dataclass(frozen=True, kw_only=True)
class FindTicket(GradientStep):
    """Finds a sparse net that trains well from its start, in rounds, and trains it."""

    kind: ClassVar[str] = "find_ticket"
    title: ClassVar[str] = "Find a lottery ticket"
    also: ClassVar[str] = "lottery ticket rewinding"
    shelf: ClassVar[str] = "Prune"
    position: ClassVar[int] = 7
    summary: ClassVar[str] = (
        "In rounds: trains, prunes the smallest weights of all layers together, and sets the others back to what "
        "they were at the start. Then trains what is left. Takes one training more than there are rounds."
    )

    epochs: int = option(2, "Passes over the train data in every round.", unit="epochs", low=1, high=100)
    amount: float = option(0.8, "Part of the weights that is zero in the end.", low=0.0, high=1.0, step=0.01)
    rounds: int = option(
        3, "Trainings that end with pruning; each takes the same part of what is left.", low=1, high=20
    )
    rewind: float = option(
        0.0,
        "Part of the first training, in whole epochs, to whose end weights are set back.",
        low=0.0,
        high=0.95,
        step=0.05,
    )
    start: str = option(
        "given",
        "Start from the weights as they are, or from random ones drawn by the seed.",
        choices=("given", "random"),
    )

    def train(self, state: State, context: Context) -> Iterator[Tick | State]:
        task = context.subject.task
        refuse_grid(state, self.kind)
        names = list(first_names(state.model, self.chosen(context.layers(state.model))))
        model = copy.deepcopy(state.model)
        masks = zero_masks(model, state.pruned)
        if self.start == "random":
            drawn_again(model, context.seed)
        origin = copy.deepcopy(model.state_dict())
        trainings = self.rounds + 1
        pick, batches = Pick(self.patience), self.steps(task) / self.epochs
        goal = Goal(context.subject, self.until) if self.until else None
        for number in range(trainings):
            model.load_state_dict(origin)
            training = self.begin(model, trainable(model), context, masks)
            training.hold()
            for epoch in range(self.epochs):
                if number == 0 and epoch == int(self.rewind * self.epochs):
                    origin = copy.deepcopy(model.state_dict())
                title = f"training {number + 1} of {trainings}, epoch {epoch + 1} of {self.epochs}"
                for part, loss in enumerate(training.epoch(), 1):
                    done = (number + (epoch + part / batches) / self.epochs) / trainings
                    yield Tick.of_training(done, title, loss=loss)
                score = judge(model, task)
                yield Tick.of_training((number + (epoch + 1) / self.epochs) / trainings, title, score=score)
                # Only the last training stops early: the rounds before it decide what is pruned.
                near = number == self.rounds and goal is not None and goal.reached(model)
                if number == self.rounds and pick.takes(score):
                    notes = [f"{self.title.lower()}: {title}, {goal.words}"] if goal is not None else []
                    yield state.with_model(finished(model, state.model)).with_masks(*names).with_notes(*notes)
                if pick.over or near:
                    return
            if number < self.rounds:
                gone = 1 - (1 - self.amount) ** ((number + 1) / self.rounds)
                # The last one is the asked amount and not what rounding makes of it.
                gone = self.amount if number == self.rounds - 1 else gone
                masks |= smallest_gone({name: model.get_parameter(name).detach() for name in names}, masks, gone)
