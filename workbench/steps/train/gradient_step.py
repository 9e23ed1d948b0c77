"""What steps that follow a gradient have in common: optimizer, schedule, batches, and the pick of the best epoch.

A learning rate that falls with depth is as in Howard, Ruder: "Universal Language Model Fine-tuning for Text
Classification", 2018.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from workbench.jobs.progress import Tick
from workbench.steps.context import Context
from workbench.steps.option import option
from workbench.steps.state import State
from workbench.steps.step import Need, TrainingStep
from workbench.steps.train.alike import within
from workbench.steps.train.goal import Goal, lacks
from workbench.steps.train.precision import Precision
from workbench.steps.train.schedules import SCHEDULES, Pick, batches
from workbench.steps.train.training import Objective, Trainable, Training, judge
from workbench.steps.train.training_checkpoint import TrainingCheckpoint
from workbench.task.augmentation import AUGMENTATIONS
from workbench.task.task import Task


def by_depth(model: nn.Module, parameters: Sequence[nn.Parameter]) -> list[list[nn.Parameter]]:
    """Return parameters by the layer that they belong to, in the model's order; norms go with the layer before them."""
    wanted, parts = {id(parameter) for parameter in parameters}, list[list[nn.Parameter]]()
    seen = set[int]()
    for module in model.modules():
        own = [one for one in module.parameters(recurse=False) if id(one) in wanted and id(one) not in seen]
        seen.update(map(id, own))
        if own and (not parts or any(one.dim() > 1 for one in own)):
            parts.append(own)
        elif own:
            parts[-1] += own
    return parts


PRECISIONS = {"full": Precision(), "bf16": Precision(torch.bfloat16), "fp16": Precision(torch.float16)}


@dataclass(frozen=True, kw_only=True)
class GradientStep(TrainingStep):
    """A step that follows the gradient of the task's loss on the train split."""

    epochs: int = option(3, "Passes over the train data.", unit="epochs", low=1, high=100)
    learning_rate: float = option(0.003, "Largest step size.", low=1e-6, high=1.0)
    batch_size: int = option(64, "Samples for one step.", unit="samples", low=1, high=4096, more=True)
    weight_decay: float = option(1e-4, "Pull of the weights towards zero.", low=0.0, high=0.1, more=True)
    optimizer: str = option("adamw", "AdamW, or SGD with Nesterov momentum 0.9.", choices=("adamw", "sgd"), more=True)
    schedule: str = option(
        "cosine",
        "How the step size goes: along a cosine to zero, constant, up and then down to zero (one-cycle), or to a tenth "
        "at one half and again at three quarters (step).",
        choices=tuple(SCHEDULES),
        more=True,
    )
    patience: int = option(
        0,
        "Epochs without a better one after which training stops; 0 never stops it.",
        unit="epochs",
        low=0,
        high=100,
        more=True,
    )
    until: float = option(
        0.0,
        "Stop once the score is, at the lower end of its 95 % interval, at most this much worse than the uncompressed "
        "model's, in the metric's own unit: 0.01 is one point of accuracy. At 0 all epochs are trained.",
        low=0.0,
        high=1000.0,
        more=True,
    )
    depth_decay: float = option(
        1.0,
        "Learning rate of a layer as a part of that of the layer after it, so that the first ones keep what they know.",
        low=0.1,
        high=1.0,
        step=0.05,
        more=True,
    )
    precision: str = option(
        "full",
        "Compute in the model's own precision, or large products in bfloat16 or float16 (with a scaled loss), which "
        "some processors do faster.",
        choices=tuple(PRECISIONS),
        more=True,
    )
    compiled: bool = option(
        False,
        "Compile the model by torch.compile: a minute or so, and a C++ compiler, for faster batches afterwards. A "
        "model that draws by chance, as dropout does, stays as it is.",
        more=True,
    )
    augmentation: str = option(
        "none",
        "Mirror images left to right, or shift them by up to an eighth, by chance, so that no image is seen twice.",
        choices=tuple(AUGMENTATIONS),
        more=True,
    )

    def needs(self) -> frozenset[Need]:
        return super().needs() | {Need.TRAIN, Need.LOSS}

    def lacks(self, task: Task) -> str:
        return super().lacks(task) or (lacks(task) if self.until else "")

    def steps(self, task: Task) -> int:
        """Return how many batches all epochs have."""
        return self.epochs * len(batches(torch.arange(len(task.split("train"))), self.batch_size))

    def begin(
        self,
        model: nn.Module,
        trained: Trainable,
        context: Context,
        masks: Mapping[str, Tensor],
        objective: Objective | None = None,
        undecayed: Sequence[nn.Parameter] = (),
        *,
        regrows: bool = False,
    ) -> Training:
        """Return a model in training by the step's settings; arguments as `Training`'s."""
        optimizer = self._optimizer(model, trained.parameters, undecayed)
        schedule = SCHEDULES[self.schedule](optimizer, self.steps(context.subject.task))
        return Training(
            model, trained, optimizer, schedule, context, masks,
            batch_size=self.batch_size, objective=objective, undecayed=undecayed,
            precision=PRECISIONS[self.precision], augmentation=self.augmentation, regrows=regrows,
            compiled=self.compiled,
        )  # fmt: skip

    def _optimizer(
        self, model: nn.Module, parameters: Sequence[nn.Parameter], undecayed: Sequence[nn.Parameter]
    ) -> torch.optim.Optimizer:
        """Return the chosen optimizer of parameters, and of those that are not pulled towards zero."""
        groups: list[dict[str, Any]] = [{"params": parameters, "weight_decay": self.weight_decay}]
        if self.depth_decay < 1:
            parts = by_depth(model, parameters)
            groups = [
                {
                    "params": part,
                    "weight_decay": self.weight_decay,
                    "lr": self.learning_rate * self.depth_decay ** (len(parts) - 1 - depth),
                }
                for depth, part in enumerate(parts)
            ]
        if undecayed:
            groups.append({"params": undecayed, "weight_decay": 0.0})
        if self.optimizer == "adamw":
            return torch.optim.AdamW(groups, lr=self.learning_rate)
        return torch.optim.SGD(groups, lr=self.learning_rate, momentum=0.9, nesterov=True)

    def _sound(self, training: Training, facts: dict[str, Any], steps: int) -> bool:
        """Return whether what a file says is of this training, cut short after one of its epochs.

        Args:
            training: What is trained.
            facts: Of the file, of any kind whatsoever.
            steps: Batches of all epochs.
        """
        epochs, best = facts["epochs"], facts["best"]
        if not within(epochs, 1, self.epochs + 1) or type(epochs) is not int:
            return False
        one = steps // self.epochs
        ends = range(one, epochs * one + 1, one)
        return (
            Pick.sound(facts["pick"], epochs)
            and training.fits(facts["now"], ends[-1:])
            and (best is None or training.fits(best, ends))
        )

    def best_epochs(
        self,
        training: Training,
        checkpoint: TrainingCheckpoint,
        task: Task,
        start: Callable[[], float] | None,
        rest: Callable[[], State],
        after_batch: Callable[[float], None] = lambda part: None,
        ready: Callable[[], bool] = lambda: True,
    ) -> Iterator[Tick | State]:
        """Train, yielding the state of every epoch that is better than those before it.

        Args:
            training: What is trained.
            checkpoint: Where it was when it was cut short; it goes on there, as if it had never stopped.
            task: Gives train and validation data.
            start: Gives the score before training, which the first epoch may equal and the others must beat; None for
                none.
            rest: Makes the state after an epoch, from nothing but what is trained.
            after_batch: Called with the part of the training that is over, after every batch.
            ready: Whether the state after an epoch may be kept at all.
        """
        steps, first, best = self.steps(task), 0, None
        goal = Goal(training.subject, self.until) if self.until else None
        best_state, reached = None, False
        earlier = checkpoint.read(lambda facts: self._sound(training, facts, steps))
        pick = Pick(self.patience, start() if start is not None and earlier is None else None)
        if earlier is not None:
            first, best = earlier["epochs"], earlier["best"]
            yield Tick(first / self.epochs, f"going on after epoch {first} of {self.epochs}")
            if best is not None:
                training.restore(best)
                best_state = rest()
                reached = goal is not None and goal.reached(best_state.model)
                yield best_state
            training.restore(earlier["now"])
            pick.restore(earlier["pick"])
        done = first * steps // self.epochs
        epoch = first - 1
        for epoch in range(first, 0 if pick.over or reached else self.epochs):
            title = f"epoch {epoch + 1} of {self.epochs}"
            for loss in training.epoch():
                done += 1
                after_batch(done / steps)
                yield Tick.of_training(done / steps, title, loss=loss)
            if epoch + 1 == self.epochs and not checkpoint.keeps:
                training.end()
            rested = rest()
            if training.uncompiled:
                rested = rested.with_notes(f"{self.title.lower()}: not compiled, as it draws by chance or is short")
            score = judge(rested.model, task)
            takes = ready() and pick.takes(score)
            if checkpoint.keeps:
                now = training.facts() if takes else training.live_facts()
                best = now if takes else best
                checkpoint.write({"epochs": epoch + 1, "now": now, "best": best, "pick": pick.facts()})
            yield Tick.of_training(done / steps, title, score=score)
            if takes:
                if goal is not None:
                    best_state, reached = rested, goal.reached(rested.model)
                yield rested
            if pick.over or reached:
                break
        checkpoint.forget()
        if goal is not None and best_state is not None:
            verb = "stopped" if reached else "not near enough"
            yield best_state.with_notes(
                f"{self.title.lower()}: {verb} after epoch {epoch + 1} of {self.epochs}, {goal.words}"
            )
