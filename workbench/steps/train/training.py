"""A model in training: seeded batches and chance, kept masks, and what of it is trained at all."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.optim import lr_scheduler

from workbench.errors import WorkbenchError, first_line
from workbench.jobs.turn import TURN
from workbench.model.layers import Layer, own_parameters
from workbench.model.twin import twin
from workbench.steps.context import Context
from workbench.steps.state import State
from workbench.steps.train.alike import alike, optimizer_alike, same_form, states_fit
from workbench.steps.train.chance import OwnChance
from workbench.steps.train.precision import Precision, full, suited, widened
from workbench.steps.train.schedules import batches
from workbench.task.augmentation import augmented
from workbench.task.batch import Tree, count, outputs_of
from workbench.task.device import CPU, device_of, moved
from workbench.task.task import Task

JUDGED_SAMPLES = 1000
LARGE_BYTES = 64 << 20  # of parameters, from which on gradients are used and freed one by one
Objective = Callable[[nn.Module, tuple[Tensor, ...], Tree], Tensor]


@dataclass(frozen=True)
class Trainable:
    """What of a model is trained.

    Attributes:
        parameters: Those that take gradients.
        modules: Names of the modules that may change, None for all. Norms elsewhere keep their running statistics.
    """

    parameters: list[nn.Parameter]
    modules: frozenset[str] | None = None


def trainable(model: nn.Module, layers: Sequence[Layer] | None = None) -> Trainable:
    """Return what to train: some layers with all that is their own, or everything. The rest takes no gradients."""
    modules = None if layers is None else frozenset(layer.module for layer in layers)
    # By identity, since tied weights go by several names.
    if layers is None:
        wanted = {id(parameter) for parameter in model.parameters()}
    else:
        wanted = {id(model.get_parameter(name)) for layer in layers for name in own_parameters(model, layer)}
    for parameter in model.parameters():
        parameter.requires_grad_(id(parameter) in wanted)
    return Trainable([parameter for parameter in model.parameters() if parameter.requires_grad], modules)


class Training:
    """A model that is trained in place.

    Attributes:
        uncompiled: Whether it is to be compiled and was not, so far.

    Args:
        model: Nobody else may hold it.
        trained: What of it is trained.
        optimizer: Of what is trained.
        schedule: Of the optimizer's step size, batch by batch.
        context: Gives data and seed.
        masks: By parameter, true where it may be other than zero; may be replaced on the way.
        batch_size: Samples of a batch.
        objective: From the model and a batch to the loss, None for the task's own.
        undecayed: What is trained besides, without being pulled towards zero.
        precision: What large products are computed in.
        augmentation: How images are changed by chance.
        regrows: Whether masks may let weights come back: `slopes` says which would lower the loss.
        compiled: Whether forward and backward are compiled, once it is known that the model draws nothing by chance.
    """

    def __init__(
        self,
        model: nn.Module,
        trained: Trainable,
        optimizer: torch.optim.Optimizer,
        schedule: lr_scheduler.LRScheduler,
        context: Context,
        masks: Mapping[str, Tensor],
        *,
        batch_size: int,
        objective: Objective | None = None,
        undecayed: Sequence[nn.Parameter] = (),
        precision: Precision | None = None,
        augmentation: str = "none",
        regrows: bool = False,
        compiled: bool = False,
    ) -> None:
        self.model, self.masks, self._undecayed = widened(model), dict(masks), list(undecayed)
        self._modules, self.subject = trained.modules, context.subject
        self._task, self._size, self._augmentation = context.subject.task, batch_size, augmentation
        self._objective = objective or task_loss(self._task)
        self._optimizer, self._schedule = optimizer, schedule
        self._precision = precision or Precision()
        self._device = device_of(model)
        self._scaler = torch.amp.GradScaler(self._device.type, enabled=self._precision.scaled)
        self.uncompiled = compiled  # as long as it may draw by chance: what looks at that stands in the way
        self._generator, self._chance = context.generator(), OwnChance(context.seed, self._device)
        # Gradients of all parameters together take as much memory as the model. A scaled loss needs them all, to see
        # whether one is infinite.
        size = sum(value.numel() * value.element_size() for value in trained.parameters)
        self._at_once = size > LARGE_BYTES and not self._precision.scaled and not regrows
        for parameter in (*trained.parameters, *undecayed) if self._at_once else ():
            parameter.register_post_accumulate_grad_hook(self._take)  # type: ignore[no-untyped-call]  # torch's own

    def _take(self, parameter: Tensor) -> None:
        """Move one parameter by its gradient, which nobody needs any more; all others have none."""
        self._optimizer.step()
        parameter.grad = None

    def epoch(self) -> Iterator[float]:
        """Train for one pass over the data, yielding the loss of each batch.

        Raises:
            WorkbenchError: The loss became infinite or NaN, or there is no train data.
        """
        data = self._task.split("train")
        order = torch.randperm(len(data), generator=self._generator)
        for indices in batches(order, self._size):
            inputs, targets = data.batch(indices.tolist())
            changed = augmented(inputs, self._augmentation, self._generator, targets)
            changed = suited(self.model, changed)
            with TURN, self._chance.drawing():
                loss = self._descend(changed, targets)
            if self.uncompiled and self._chance.over:
                self.model.compile()  # in place; copies of it are not compiled
                self.uncompiled = False
            self._schedule.step()
            yield loss
        # What follows copies the model, and needs the memory more than gradients of the past.
        self._optimizer.zero_grad(set_to_none=True)

    def facts(self) -> dict[str, Any]:
        """Return copies of all that changes in training, as tensors and plain values."""
        return copy.deepcopy(self.live_facts())

    def end(self) -> None:
        """Let go of what only further training would need: for Adam, twice the memory of the model."""
        self._optimizer.state.clear()

    def live_facts(self) -> dict[str, Any]:
        """Return the same without copies: the next batch changes them."""
        return {
            "model": self.model.state_dict(),
            "undecayed": [value.detach() for value in self._undecayed],
            "masks": self.masks,
            "optimizer": self._optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
            "scaler": self._scaler.state_dict(),
            "order": self._generator.get_state(),
            "chance": self._chance.facts(),
        }

    def fits(self, facts: Any, batches: range) -> bool:
        """Return whether `facts` are of a training like this one, so that it can go on with them.

        Nothing of them is used before all of it was looked at: they may come from a file of anybody.

        Args:
            facts: Of any kind whatsoever.
            batches: How many may have been trained on.
        """
        own = moved(self.live_facts(), CPU)  # as a file is read
        if type(facts) is not dict or facts.keys() != own.keys():
            return False
        schedule = facts["schedule"]
        parameters = [one for group in self._optimizer.param_groups for one in group["params"]]
        return (
            all(alike(own[name], facts[name]) for name in ("model", "undecayed", "scaler", "schedule"))
            and schedule["last_epoch"] in batches
            and schedule["_step_count"] == schedule["last_epoch"] + 1
            and optimizer_alike(own["optimizer"], facts["optimizer"], parameters, schedule["last_epoch"])
            and self._masks_fit(facts["masks"])
            and states_fit(facts, self._device)
        )

    def _masks_fit(self, masks: Any) -> bool:
        """Return whether masks are of this model and hold what is held now; training may hold more by and by."""
        values = dict(self.model.named_parameters(remove_duplicate=False))
        return (
            type(masks) is dict
            and self.masks.keys() <= masks.keys() <= values.keys()
            and all(same_form(torch.empty(values[name].shape, dtype=torch.bool), mask) for name, mask in masks.items())
            and not any(bool((masks[name] & ~moved(mask, CPU)).any()) for name, mask in self.masks.items())
        )

    def restore(self, facts: Mapping[str, Any]) -> None:
        """Go on with what `facts` gave."""
        facts = copy.deepcopy(dict(facts))  # the optimizer takes tensors as they are
        self.model.load_state_dict(facts["model"])
        with torch.no_grad():
            for value, before in zip(self._undecayed, facts["undecayed"], strict=True):
                value.copy_(before)
        self.masks = moved(facts["masks"], self._device)
        self._optimizer.load_state_dict(facts["optimizer"])
        self._schedule.load_state_dict(facts["schedule"])
        self._scaler.load_state_dict(facts["scaler"])
        self._generator.set_state(facts["order"])
        self._chance.restore(facts["chance"])
        self.hold()  # as it was already, unless somebody wrote otherwise into the file

    def slopes(self, names: Iterable[str]) -> dict[str, Tensor]:
        """Return the gradient of the last batch's loss in parameters, gone weights too; zeros where none is trained."""
        own = {name: self.model.get_parameter(name) for name in names}
        return {name: torch.zeros_like(value) if value.grad is None else value.grad for name, value in own.items()}

    def hold(self) -> None:
        """Set to zero what the masks say."""
        with torch.no_grad():
            for name, mask in self.masks.items():
                self.model.get_parameter(name).mul_(mask)

    def _descend(self, inputs: tuple[Tensor, ...], targets: Tree) -> float:
        for name, module in self.model.named_modules():
            # A norm that is not trained would take running statistics of its own all the same.
            module.training = self._modules is None or name in self._modules or not isinstance(module, _NormBase)
        self._optimizer.zero_grad(set_to_none=True)
        with torch.enable_grad():
            short = self._precision.dtype
            with torch.autocast(self._device.type, short, enabled=short is not None):
                loss = self._loss(inputs, targets)
            if not torch.isfinite(loss):
                raise WorkbenchError("the loss became infinite or NaN; use a smaller learning rate")
            self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
        if not self._at_once:
            self._scaler.step(self._optimizer)
            self._scaler.update()
        self.hold()
        return float(loss.detach())

    def _loss(self, inputs: tuple[Tensor, ...], targets: Tree) -> Tensor:
        try:
            with own_failures():
                return self._objective(self.model, inputs, targets)
        except ValueError as error:
            if count(targets) == 1 and "more than 1 value per channel" in str(error):
                raise WorkbenchError(
                    "a batch norm cannot train on one sample; give two or more, and a batch_size of 2 or more"
                ) from error
            raise


@contextmanager
def own_failures() -> Iterator[None]:
    """Say that a model or a loss fails, which they may do while they are trained alone: in that mode, in float32."""
    try:
        yield
    except RuntimeError as error:
        if "memory" in str(error):
            raise
        if type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
            raise WorkbenchError(
                f"the model cannot be compiled: {first_line(error)}; without compiled=True it need not be"
            ) from error
        why = f"the model or its loss fails while it trains: {first_line(error)}"
        if "dtype" in str(error):
            why += (
                "; training computes in float32, so code that names another type, as x.to(torch.bfloat16) does, has to "
                "ask for that of a weight"
            )
        raise WorkbenchError(why) from error


def task_loss(task: Task) -> Objective:
    """Return the task's own loss of what a model gives."""
    loss = task.training_loss
    return lambda model, inputs, targets: loss(full(outputs_of(model, inputs)), targets)


def judge(model: nn.Module, task: Task) -> float:
    """Return the score on up to 1,000 validation samples, larger for better. It picks epochs, nothing else."""
    try:
        parts = list(judged(model, task))
        with torch.inference_mode():
            score = task.metric.score_of(parts)
    except WorkbenchError:  # the metric is no number here, and no epoch is worse than that
        return -math.inf
    return score if task.metric.higher_is_better else -score


def judged(model: nn.Module, task: Task) -> Iterator[tuple[Tree, Tree, Tensor]]:
    """Yield outputs and targets of the validation samples that epochs are judged by, with their places in the split."""
    data = task.split("validation")
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))[:JUDGED_SAMPLES]
    model = twin(model)
    for numbers in torch.split(order, 128):
        inputs, targets = data.batch(numbers.tolist())
        with TURN, torch.inference_mode(), own_failures():
            outputs = outputs_of(model, suited(model, inputs))
        yield outputs, targets, numbers


def zero_masks(model: nn.Module, pruned: frozenset[str]) -> dict[str, Tensor]:
    """Return for parameters that are pruned where they are not zero."""
    return {name: model.get_parameter(name).detach() != 0 for name in pruned}


def finished(model: nn.Module, before: nn.Module) -> nn.Module:
    """Return a copy of a trained model at rest: in evaluation mode, without gradients.

    Args:
        model: In training.
        before: The same before it; its parameters say which take gradients.
    """
    done = copy.deepcopy(model)
    done.zero_grad(set_to_none=True)
    for module in done.modules():
        module.training = False
    flags = {name: parameter.requires_grad for name, parameter in before.named_parameters()}
    types = {name: value.dtype for name, value in before.state_dict(keep_vars=True).items()}
    with torch.no_grad():
        for name, value in done.state_dict(keep_vars=True).items():
            value.data = value.data.to(types.get(name, value.dtype))
        for name, parameter in done.named_parameters():
            # -0.0 comes of a mask times a negative number; a file that leaves zeros out gives back +0.0.
            parameter.add_(0.0)
            parameter.requires_grad_(flags.get(name, True))
    return done


def refuse_grid(state: State, kind: str) -> None:
    """Raise an error if parameters are stored on a grid, which training would move them off."""
    if state.codings:
        some = ", ".join(list(state.codings)[:3])
        raise WorkbenchError(
            f"plain training would move {some} off the grid they are stored on; put {kind} before quantize, or train "
            "on the grid with train_quantized"
        )
