"""What steps that train have in common: batches and dropout by seed, masks that are kept, and the pick of the best."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from workbench.context import Context
from workbench.errors import WorkbenchError
from workbench.layers import Layer
from workbench.steps.option import option
from workbench.steps.state import State
from workbench.steps.step import TrainingStep
from workbench.task import Task, logits
from workbench.turn import TURN
from workbench.twin import twin

JUDGED_SAMPLES = 1000


@dataclass(frozen=True, kw_only=True)
class GradientStep(TrainingStep):
    """A step that follows the gradient of the task's loss on the train split."""

    epochs: int = option(3, "Passes over the train data.", unit="epochs", low=1, high=100)
    learning_rate: float = option(0.003, "Largest step size; it falls to zero along a cosine.", low=1e-6, high=1.0)
    batch_size: int = option(64, "Samples for one step.", unit="samples", low=1, high=4096)
    weight_decay: float = option(1e-4, "Pull of the weights towards zero.", low=0.0, high=0.1)
    optimizer: str = option("adamw", "AdamW, or SGD with Nesterov momentum 0.9.", choices=("adamw", "sgd"))

    def steps(self, task: Task) -> int:
        """Return how many batches all epochs have."""
        return self.epochs * math.ceil(len(task.split("train")) / self.batch_size)

    def made_optimizer(self, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        """Return the chosen optimizer of these parameters."""
        if self.optimizer == "adamw":
            return torch.optim.AdamW(parameters, lr=self.learning_rate, weight_decay=self.weight_decay)
        return torch.optim.SGD(
            parameters, lr=self.learning_rate, momentum=0.9, nesterov=True, weight_decay=self.weight_decay
        )


class Training:
    """A model that is trained in place, by a step's settings.

    Args:
        model: Nobody else may hold it.
        parameters: Those that are trained.
        step: Gives optimizer, batches and their number, over which the learning rate falls.
        context: Gives data and seed.
        masks: By parameter, true where it may be other than zero; may be replaced on the way.
    """

    def __init__(
        self,
        model: nn.Module,
        parameters: list[nn.Parameter],
        step: GradientStep,
        context: Context,
        masks: Mapping[str, Tensor],
    ) -> None:
        self.model, self.masks = model, dict(masks)
        self._task, self._size = context.subject.task, step.batch_size
        self._optimizer = step.made_optimizer(parameters)
        self._schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self._optimizer, step.steps(self._task))
        self._generator = context.generator()
        self._chance = torch.Generator().manual_seed(context.seed).get_state()

    def epoch(self) -> Iterator[float]:
        """Train for one pass over the data, yielding the loss of each batch.

        Raises:
            WorkbenchError: The loss became infinite or NaN, or there is no train data.
        """
        data = self._task.split("train")
        order = torch.randperm(len(data), generator=self._generator)
        for indices in torch.split(order, self._size):
            inputs, targets = data.batch(indices.tolist())
            # Dropout draws from the global generator; it gets this recipe's state, and then its own back.
            with TURN, torch.random.fork_rng(devices=[]):
                torch.set_rng_state(self._chance)
                loss = self._descend(inputs, targets)
                self._chance = torch.get_rng_state()
            self._schedule.step()
            yield loss

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
            loss = self._task.loss(logits(self.model(*inputs)), targets)
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
        if not torch.isfinite(loss):
            raise WorkbenchError("the loss became infinite or NaN; use a smaller learning rate")
        self._optimizer.step()
        self.hold()
        return float(loss.detach())


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


def trainable(model: nn.Module, names: set[str] | None) -> list[nn.Parameter]:
    """Return the parameters to train: of the named weights, or all of them. The others no longer take gradients."""
    chosen = []
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(names is None or name in names)
        if parameter.requires_grad:
            chosen.append(parameter)
    return chosen


def zero_masks(model: nn.Module, pruned: frozenset[str]) -> dict[str, Tensor]:
    """Return for parameters that are pruned where they are not zero."""
    return {name: model.get_parameter(name).detach() != 0 for name in pruned}


def first_names(model: nn.Module, layers: tuple[Layer, ...]) -> dict[str, Layer]:
    """Return layers by the names of their weights; of tied layers, which share one, the first."""
    found: dict[int, tuple[str, Layer]] = {}
    for layer in layers:
        found.setdefault(id(model.get_parameter(layer.parameter)), (layer.parameter, layer))
    return dict(found.values())


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
            f"plain training would move {some} off the grid they are stored on; put {kind} before quantize"
        )
