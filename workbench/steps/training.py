"""What steps that train have in common: batches and dropout by seed, schedules, kept masks, the pick of the best."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import lr_scheduler

from workbench.augmentation import AUGMENTATIONS, augmented
from workbench.context import Context
from workbench.errors import WorkbenchError
from workbench.progress import Tick
from workbench.steps.option import option
from workbench.steps.place import Place
from workbench.steps.state import State
from workbench.steps.step import TrainingStep
from workbench.task import Task, logits
from workbench.turn import TURN
from workbench.twin import twin

JUDGED_SAMPLES = 1000
Objective = Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]


def batches(order: Tensor, size: int) -> list[Tensor]:
    """Return the numbers in `order`, [n], in batches of `size`; a single one that is left joins the batch before it.

    A batch norm cannot train on one sample, which has no variance.
    """
    parts = list(torch.split(order, size))
    if size > 1 and len(parts) > 1 and len(parts[-1]) == 1:
        parts[-2:] = [torch.cat(parts[-2:])]
    return parts


class Pick:
    """Which epoch is the best so far, and whether it is time to stop waiting for a better one.

    Args:
        patience: Epochs to wait for a better one, 0 to wait to the end.
        start: The score before training, which the first epoch may equal and others must beat; None for none.
    """

    def __init__(self, patience: int, start: float | None = None) -> None:
        self._patience, self._best, self._epochs, self._waited = patience, start, 0, 0

    def takes(self, score: float) -> bool:
        """Return whether an epoch's score is the best."""
        better = self._best is None or score > self._best or (self._epochs == 0 and score == self._best)
        self._epochs, self._waited = self._epochs + 1, 0 if better else self._waited + 1
        self._best = score if better else self._best
        return better

    def facts(self) -> list[float | None]:
        """Return what was picked so far, as plain values."""
        return [self._best, self._epochs, self._waited]

    def restore(self, facts: Sequence[Any]) -> None:
        """Go on with what `facts` gave."""
        self._best, self._epochs, self._waited = facts

    @property
    def over(self) -> bool:
        """Whether patience is at its end."""
        return 0 < self._patience <= self._waited


Schedule = Callable[[torch.optim.Optimizer, int], lr_scheduler.LRScheduler]
# From an optimizer, at its largest step size, and the number of batches.
SCHEDULES: dict[str, Schedule] = {
    "cosine": lambda optimizer, steps: lr_scheduler.CosineAnnealingLR(optimizer, steps),
    "constant": lambda optimizer, steps: lr_scheduler.ConstantLR(optimizer, 1.0),
    "one-cycle": lambda optimizer, steps: lr_scheduler.OneCycleLR(
        optimizer, [group["lr"] for group in optimizer.param_groups], steps
    ),
    "step": lambda optimizer, steps: lr_scheduler.MultiStepLR(
        optimizer, [max(steps // 2, 1), max(3 * steps // 4, 1)], 0.1
    ),
}


# What autocast computes large products in; None is as the model is.
PRECISIONS: dict[str, torch.dtype | None] = {"full": None, "bf16": torch.bfloat16, "fp16": torch.float16}


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
    precision: str = option(
        "full",
        "Compute in the model's own precision, or large products in bfloat16 or float16 (with a scaled loss), which "
        "some processors do faster.",
        choices=tuple(PRECISIONS),
        more=True,
    )
    augmentation: str = option(
        "none",
        "Mirror images left to right, or shift them by up to an eighth, by chance, so that no image is seen twice.",
        choices=tuple(AUGMENTATIONS),
        more=True,
    )

    def steps(self, task: Task) -> int:
        """Return how many batches all epochs have."""
        return self.epochs * len(batches(torch.arange(len(task.split("train"))), self.batch_size))

    def made_optimizer(
        self, parameters: Sequence[nn.Parameter], undecayed: Sequence[nn.Parameter] = ()
    ) -> torch.optim.Optimizer:
        """Return the chosen optimizer of parameters, and of those that are not pulled towards zero."""
        groups: list[dict[str, Any]] = [{"params": parameters, "weight_decay": self.weight_decay}]
        if undecayed:
            groups.append({"params": undecayed, "weight_decay": 0.0})
        if self.optimizer == "adamw":
            return torch.optim.AdamW(groups, lr=self.learning_rate)
        return torch.optim.SGD(groups, lr=self.learning_rate, momentum=0.9, nesterov=True)

    def best_epochs(
        self,
        training: Training,
        place: Place,
        task: Task,
        start: Callable[[], float] | None,
        rest: Callable[[], State],
        after_batch: Callable[[float], None] = lambda part: None,
        ready: Callable[[], bool] = lambda: True,
    ) -> Iterator[Tick | State]:
        """Train, yielding the state of every epoch that is better than those before it.

        Args:
            training: What is trained.
            place: Where it was when it was cut short; it goes on there, as if it had never stopped.
            task: Gives train and validation data.
            start: Gives the score before training, which the first epoch may equal and the others must beat; None for
                none.
            rest: Makes the state after an epoch, from nothing but what is trained.
            after_batch: Called with the part of the training that is over, after every batch.
            ready: Whether the state after an epoch may be kept at all.
        """
        kept, steps, first, best = place.read(), self.steps(task), 0, None
        pick = Pick(self.patience, start() if start is not None and kept is None else None)
        if kept is not None:
            first, best = kept["epochs"], kept["best"]
            yield Tick(first / self.epochs, f"going on after epoch {first} of {self.epochs}")
            if best is not None:
                training.restore(best)
                yield rest()
            training.restore(kept["now"])
            pick.restore(kept["pick"])
        done = first * steps // self.epochs
        for epoch in range(first, 0 if pick.over else self.epochs):
            title = f"epoch {epoch + 1} of {self.epochs}"
            for loss in training.epoch():
                done += 1
                after_batch(done / steps)
                yield Tick(done / steps, title, values={"loss": loss})
            made = rest()
            score = judge(made.model, task)
            takes = ready() and pick.takes(score)
            if place.keeps:
                now = training.facts()
                best = now if takes else best
                place.write({"epochs": epoch + 1, "now": now, "best": best, "pick": pick.facts()})
            yield Tick(done / steps, title, values={"score": score})
            if takes:
                yield made
            if pick.over:
                break
        place.forget()


class Training:
    """A model that is trained in place, by a step's settings.

    Args:
        model: Nobody else may hold it.
        parameters: Those that are trained.
        step: Gives optimizer, batches and their number, over which the learning rate falls.
        context: Gives data and seed.
        masks: By parameter, true where it may be other than zero; may be replaced on the way.
        objective: From the model and a batch to the loss, None for the task's own.
        undecayed: What is trained besides, without being pulled towards zero.
    """

    def __init__(
        self,
        model: nn.Module,
        parameters: list[nn.Parameter],
        step: GradientStep,
        context: Context,
        masks: Mapping[str, Tensor],
        objective: Objective | None = None,
        undecayed: Sequence[nn.Parameter] = (),
    ) -> None:
        self.model, self.masks, self._undecayed = model, dict(masks), list(undecayed)
        self._objective = objective or task_loss(context.subject.task)
        self._task, self._size = context.subject.task, step.batch_size
        self._optimizer = step.made_optimizer(parameters, undecayed)
        self._schedule = SCHEDULES[step.schedule](self._optimizer, step.steps(self._task))
        self._short, self._augmentation = PRECISIONS[step.precision], step.augmentation
        # Gradients that are zero in float16 are not in a scaled loss (Micikevicius et al.: "Mixed Precision Training").
        device = next(model.parameters()).device.type
        self._scaler = torch.amp.GradScaler(device, enabled=self._short == torch.float16)
        self._generator = context.generator()
        self._chance = torch.Generator().manual_seed(context.seed).get_state()

    def epoch(self) -> Iterator[float]:
        """Train for one pass over the data, yielding the loss of each batch.

        Raises:
            WorkbenchError: The loss became infinite or NaN, or there is no train data.
        """
        data = self._task.split("train")
        order = torch.randperm(len(data), generator=self._generator)
        for indices in batches(order, self._size):
            inputs, targets = data.batch(indices.tolist())
            inputs = augmented(inputs, self._augmentation, self._generator)
            # Dropout draws from the global generator; it gets this recipe's state, and then its own back.
            with TURN, torch.random.fork_rng(devices=[]):
                torch.set_rng_state(self._chance)
                loss = self._descend(inputs, targets)
                self._chance = torch.get_rng_state()
            self._schedule.step()
            yield loss

    def facts(self) -> dict[str, Any]:
        """Return copies of all that changes in training, as tensors and plain values."""
        return copy.deepcopy(
            {
                "model": self.model.state_dict(),
                "undecayed": [value.detach() for value in self._undecayed],
                "masks": self.masks,
                "optimizer": self._optimizer.state_dict(),
                "schedule": self._schedule.state_dict(),
                "scaler": self._scaler.state_dict(),
                "order": self._generator.get_state(),
                "chance": self._chance,
            }
        )

    def restore(self, facts: Mapping[str, Any]) -> None:
        """Go on with what `facts` gave."""
        facts = copy.deepcopy(dict(facts))  # the optimizer takes tensors as they are
        self.model.load_state_dict(facts["model"])
        with torch.no_grad():
            for value, kept in zip(self._undecayed, facts["undecayed"], strict=True):
                value.copy_(kept)
        self.masks = facts["masks"]
        self._optimizer.load_state_dict(facts["optimizer"])
        self._schedule.load_state_dict(facts["schedule"])
        self._scaler.load_state_dict(facts["scaler"])
        self._generator.set_state(facts["order"])
        self._chance = facts["chance"]

    def hold(self) -> None:
        """Set to zero what the masks say."""
        with torch.no_grad():
            for name, mask in self.masks.items():
                self.model.get_parameter(name).mul_(mask)

    def _descend(self, inputs: tuple[Tensor, ...], targets: Tensor) -> float:
        for module in self.model.modules():
            module.training = True
        self._optimizer.zero_grad(set_to_none=True)
        with torch.enable_grad():
            with torch.autocast(inputs[0].device.type, self._short, enabled=self._short is not None):
                loss = self._loss(inputs, targets)
            self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
        if not torch.isfinite(loss):
            raise WorkbenchError("the loss became infinite or NaN; use a smaller learning rate")
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self.hold()
        return float(loss.detach())

    def _loss(self, inputs: tuple[Tensor, ...], targets: Tensor) -> Tensor:
        try:
            return self._objective(self.model, inputs, targets)
        except ValueError as error:
            if len(targets) == 1 and "more than 1 value per channel" in str(error):
                raise WorkbenchError(
                    "a batch norm cannot train on one sample; give two or more, and a batch_size of 2 or more"
                ) from error
            raise


def task_loss(task: Task) -> Objective:
    """Return the task's own loss of what a model gives."""
    return lambda model, inputs, targets: task.loss(full(logits(model(*inputs))), targets)


def full(outputs: Tensor) -> Tensor:
    """Return outputs in no less than float32, in which losses are computed."""
    return outputs.float() if outputs.dtype in (torch.bfloat16, torch.float16) else outputs


def judge(model: nn.Module, task: Task) -> float:
    """Return the score on up to 1,000 validation samples, larger for better. It picks epochs, nothing else."""
    data = task.split("validation")
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))[:JUDGED_SAMPLES]
    outputs, wanted = [], []
    model = twin(model)
    with torch.inference_mode():
        for indices in torch.split(order, 128):
            inputs, targets = data.batch(indices.tolist())
            outputs.append(logits(model(*inputs)))
            wanted.append(targets)
        try:
            score = float(task.metric.values(torch.cat(outputs), torch.cat(wanted), order).mean())
        except WorkbenchError:  # the metric is no number here, and no epoch is worse than that
            return -math.inf
    return score if task.metric.higher_is_better else -score


def trainable(model: nn.Module, names: set[str] | None) -> list[nn.Parameter]:
    """Return the parameters to train: of the named weights, or all of them. The others no longer take gradients."""
    # By identity, since tied weights go by several names.
    wanted = None if names is None else {id(model.get_parameter(name)) for name in names}
    for parameter in model.parameters():
        parameter.requires_grad_(wanted is None or id(parameter) in wanted)
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def zero_masks(model: nn.Module, pruned: frozenset[str]) -> dict[str, Tensor]:
    """Return for parameters that are pruned where they are not zero."""
    return {name: model.get_parameter(name).detach() != 0 for name in pruned}


def finished(model: nn.Module) -> nn.Module:
    """Return a copy at rest: no gradients, in evaluation mode."""
    done = copy.deepcopy(model)
    done.zero_grad(set_to_none=True)
    for module in done.modules():
        module.training = False
    # -0.0 comes of a mask times a negative number; a file that leaves zeros out gives back +0.0.
    with torch.no_grad():
        for parameter in done.parameters():
            parameter.add_(0.0)
    return done


def refuse_grid(state: State, kind: str) -> None:
    """Raise an error if parameters are stored on a grid, which training would move them off."""
    if state.codings:
        some = ", ".join(list(state.codings)[:3])
        raise WorkbenchError(
            f"plain training would move {some} off the grid they are stored on; put {kind} before quantize, or train "
            "on the grid with train_quantized"
        )
