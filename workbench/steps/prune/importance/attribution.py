"""Attributions of captum to units, where they are read.

Kokhlikyan et al.: "Captum: A unified and generic model interpretability library for PyTorch", 2020. What is attributed
is the evidence for the right answer: a linear function of the model's outputs, one number a sample.
"""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from workbench.errors import WorkbenchError, first_line
from workbench.graph import Group
from workbench.jobs.turn import TURN
from workbench.model.twin import twin
from workbench.steps.calibration import calls_in
from workbench.steps.context import Context
from workbench.steps.prune.importance.activity import by_channel, consumers
from workbench.steps.prune.importance.criterion import Criterion
from workbench.steps.prune.importance.layer_inputs import unreadable
from workbench.steps.prune.importance.slots import features
from workbench.task.batch import Call, Inputs, Tree, batch_size, how, leaves, outputs_of
from workbench.task.classes import Classes
from workbench.task.device import device_of
from workbench.task.task import Task

BATCH = 32
SAMPLES = 128

Attribute = Callable[[nn.Module, nn.Module, tuple[Tensor, ...], Tensor], Tensor]


class Evidence(nn.Module):
    """A model that gives one number a sample for inputs and targets: `(*inputs, targets) -> [n]`.

    For classes it is the right one's logit less the mean of all logits, mean over positions that count; otherwise the
    sum of the outputs.

    Args:
        model: What is asked.
        call: How it is called.
        classes: How they lie in its outputs, None where there are none.
    """

    def __init__(self, model: nn.Module, call: Call, classes: Classes | None) -> None:
        super().__init__()
        self.model, self._call, self._classes = model, call, classes

    @classmethod
    def of(cls, model: nn.Module, task: Task) -> Evidence:
        """Return the evidence of a model's twin for what a task asks."""
        return cls(twin(model), how(task.example(1)), task.metric.classes)

    def forward(self, *given: Tensor) -> Tensor:
        *inputs, targets = given
        outputs = outputs_of(self.model, Inputs(inputs, self._call))
        if self._classes is None or not isinstance(outputs, Tensor):
            return torch.stack([value.flatten(1).sum(1) for value in leaves(outputs)]).sum(0)
        scores, labels, counted, _ = self._classes.aligned(outputs, targets)
        right = scores.gather(-1, labels.unsqueeze(-1)).squeeze(-1) - scores.mean(-1)
        evidence: Tensor = (right * counted).sum(1) / counted.sum(1).clamp(min=1)
        return evidence


def as_tensor(targets: Tree, samples: int, device: torch.device) -> Tensor:
    """Return targets as captum hands them on: where they are no single tensor, they are not asked for."""
    return targets if isinstance(targets, Tensor) else torch.zeros(samples, device=device)


class Attribution(Criterion):
    """Ranks channels by what is attributed to them where they are read."""

    needs_data = True
    comparable = True
    samples: ClassVar[int] = SAMPLES

    def unfit(self, model: nn.Module, group: Group) -> str:
        return unreadable(model, group, (nn.Linear, _ConvNd))

    def units(self, model: nn.Module, groups: Sequence[Group], context: Context) -> dict[str, Tensor]:
        return attribute_units(model, groups, context, self.attribute, self.samples)

    @abstractmethod
    def attribute(self, evidence: nn.Module, layer: nn.Module, inputs: tuple[Tensor, ...], targets: Tensor) -> Tensor:
        """Return what a layer's inputs have to do with the evidence, in the shape of the inputs [n, ...]."""


def attribute_units(
    model: nn.Module, groups: Sequence[Group], context: Context, attribute: Attribute, samples: int = SAMPLES
) -> dict[str, Tensor]:
    """Return the mean over samples of the absolute attribution to every unit, float64 [units] by the group's name.

    A unit's attribution for a sample is summed over all places and over all layers that read it.

    Args:
        model: Attributed to by its twin.
        groups: Whose units.
        context: Gives data and progress.
        attribute: `(evidence, layer, inputs, targets)` -> attributions to the layer's input, in its shape.
        samples: At most so many of the calibration split.

    Raises:
        WorkbenchError: There is no calibration data, a layer is called several times, or captum cannot do it.
        Cancelled: It was told to stop.
    """
    evidence, data = Evidence.of(model, context.subject.task), context.subject.task.split("calibration")
    layers, total = consumers(groups), min(len(data), samples)
    _refuse_repeated(evidence.model, layers, context)
    device = device_of(model)
    sums = {group.name: torch.zeros(len(group.units), dtype=torch.float64, device=device) for group in groups}
    starts = range(0, total, BATCH)
    for number, start in enumerate(starts):
        inputs, tree = data.batch(range(start, min(start + BATCH, total)))
        targets = as_tensor(tree, batch_size(inputs), device)
        signed = {name: value.new_zeros(len(targets), len(value)) for name, value in sums.items()}
        for place, layer in enumerate(layers):
            context.progress.update((number + place / len(layers)) / len(starts), f"attributing to what {layer} reads")
            module = evidence.model.get_submodule(layer)
            with TURN, asking_captum():
                attributed = _summed(module, attribute(evidence, module, inputs, targets))
            for group in groups:
                if layer in group.consumers:
                    owner = features(model, group, layer)
                    signed[group.name].index_add_(1, owner[owner >= 0], attributed[:, owner >= 0])
        for name, value in signed.items():
            sums[name] += value.abs().sum(0)
    context.progress.update(1.0)
    return {name: value / total for name, value in sums.items()}


def floating(inputs: Sequence[Tensor], title: str) -> None:
    """Raise an error if inputs are whole numbers, between which and zero there is no path."""
    if not all(value.is_floating_point() for value in inputs):
        raise WorkbenchError(f"{title} compares inputs with zero, so they must be floating-point numbers, not indices")


def _summed(module: nn.Module, attributed: Tensor) -> Tensor:
    """Return attributions [n, ...] summed over places, float64 [n, inputs]."""
    return (
        by_channel(module, attributed.detach()).double().flatten(2).sum(2)
        if attributed.ndim > 2
        else attributed.detach().double()
    )


@contextmanager
def asking_captum() -> Iterator[None]:
    """Keep captum's remarks off the screen, and say in one error what it cannot do."""
    # It announces hooks and flags of gradients that it sets, on a twin that nobody else has.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        try:
            yield
        except (RuntimeError, AssertionError, IndexError) as error:
            raise WorkbenchError(f"captum cannot attribute to this model: {first_line(error)}") from error


def _refuse_repeated(model: nn.Module, layers: Sequence[str], context: Context) -> None:
    calls = calls_in(model, layers, context.example())
    wrong = [name for name in layers if calls.count(name) != 1]
    if wrong:
        raise WorkbenchError(f"{', '.join(wrong)}: attributions are for layers that are called once; exclude them")
