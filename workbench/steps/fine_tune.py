"""Plain fine-tuning on the train split, to win back what compression lost."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from workbench.errors import WorkbenchError
from workbench.progress import Tick
from workbench.steps.option import option
from workbench.steps.state import Context, State
from workbench.steps.step import TrainingStep
from workbench.task import Task, logits
from workbench.turn import TURN
from workbench.twin import twin

JUDGED_SAMPLES = 1000


@dataclass(frozen=True, kw_only=True)
class FineTune(TrainingStep):
    """Trains on for a few epochs and keeps the epoch that validates best. Pruned weights stay zero."""

    kind: ClassVar[str] = "fine_tune"
    title: ClassVar[str] = "Fine-tune"
    summary: ClassVar[str] = (
        "Trains the compressed model on for a few epochs on the train data, with weights that were pruned "
        "kept at zero, and keeps the epoch that scores best on validation."
    )

    epochs: int = option(3, "Passes over the train data.", unit="epochs", low=1, high=100)
    learning_rate: float = option(0.003, "Largest step size; it falls to zero along a cosine.", low=1e-6, high=1.0)
    batch_size: int = option(64, "Samples for one step.", unit="samples", low=1, high=4096)
    weight_decay: float = option(1e-4, "Pull of the weights towards zero.", low=0.0, high=0.1)
    optimizer: str = option("adamw", "AdamW, or SGD with Nesterov momentum 0.9.", choices=("adamw", "sgd"))

    def train(self, state: State, context: Context) -> Iterator[Tick | State]:
        task = context.subject.task
        _refuse_grid(state)
        model = copy.deepcopy(state.model)
        names = {layer.parameter for layer in self.chosen(context.layers(state.model))}
        parameters = _trainable(model, names if self.layers != "*" or self.exclude else None)
        masks = {name: model.get_parameter(name) != 0 for name in state.pruned}
        data = task.split("train")
        steps = self.epochs * math.ceil(len(data) / self.batch_size)
        optimizer = self._optimizer(parameters)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        generator = context.generator()
        chance = torch.Generator().manual_seed(context.seed).get_state()
        best, done = judge(model, task), 0
        for epoch in range(self.epochs):
            order = torch.randperm(len(data), generator=generator)
            for indices in torch.split(order, self.batch_size):
                inputs, targets = data.batch(indices.tolist())
                # Dropout draws from the global generator; it gets this recipe's state, and then its own back.
                with TURN, torch.random.fork_rng(devices=[]):
                    torch.set_rng_state(chance)
                    loss = _step(model, inputs, targets, task, optimizer, masks)
                    chance = torch.get_rng_state()
                schedule.step()
                done += 1
                yield Tick(done / steps, f"epoch {epoch + 1} of {self.epochs}", values={"loss": loss})
            score = judge(model, task)
            yield Tick(done / steps, f"epoch {epoch + 1} of {self.epochs}", values={"score": score})
            if score > best or (epoch == 0 and score == best):
                best = score
                yield replace(state, model=_finished(model))

    def _optimizer(self, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        if self.optimizer == "adamw":
            return torch.optim.AdamW(parameters, lr=self.learning_rate, weight_decay=self.weight_decay)
        return torch.optim.SGD(
            parameters, lr=self.learning_rate, momentum=0.9, nesterov=True, weight_decay=self.weight_decay
        )


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
        score = float(torch.as_tensor(task.metric.judge(torch.cat(outputs), torch.cat(wanted))).double().mean())
    return score if task.metric.higher_is_better else -score


def _step(
    model: nn.Module,
    inputs: tuple[Tensor, ...],
    targets: Tensor,
    task: Task,
    optimizer: torch.optim.Optimizer,
    masks: dict[str, Tensor],
) -> float:
    for module in model.modules():
        module.training = True
    optimizer.zero_grad(set_to_none=True)
    with torch.enable_grad():
        loss = task.loss(logits(model(*inputs)), targets)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
    if not torch.isfinite(loss):
        raise WorkbenchError("the loss became infinite or NaN; use a smaller learning rate")
    optimizer.step()
    with torch.no_grad():
        for name, mask in masks.items():
            model.get_parameter(name).mul_(mask)
    return float(loss.detach())


def _trainable(model: nn.Module, names: set[str] | None) -> list[nn.Parameter]:
    """Return the parameters to train: of the named weights, or all of them."""
    chosen = []
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(names is None or name in names)
        if parameter.requires_grad:
            chosen.append(parameter)
    return chosen


def _finished(model: nn.Module) -> nn.Module:
    done = copy.deepcopy(model)
    done.zero_grad(set_to_none=True)
    for module in done.modules():
        module.training = False
    # -0.0 comes of a mask times a negative number; a file that leaves zeros out gives back +0.0.
    with torch.no_grad():
        for parameter in done.parameters():
            parameter.add_(0.0)
    return done


def _refuse_grid(state: State) -> None:
    if state.codings:
        some = ", ".join(list(state.codings)[:3])
        raise WorkbenchError(
            f"plain fine-tuning would move {some} off the grid they are stored on; put fine_tune before quantize"
        )
