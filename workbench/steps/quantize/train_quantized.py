"""Quantization-aware training: weights are trained through the rounding that they are stored with.

Bengio, Léonard, Courville: "Estimating or Propagating Gradients Through Stochastic Neurons", 2013 (straight-through);
Esser et al.: "Learned Step Size Quantization" (LSQ), 2020; Han, Mao, Dally: "Deep Compression", 2016 (trained
centroids). The logarithm of a step size is trained relative to the fitted one: it stays positive, and one learning
rate suits layers of any scale. With SGD a small step moves it as the paper's does; AdamW knows no gradient scale.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.func import functional_call

from workbench.checkpoint.coding import Codebook, Coding, Uniform
from workbench.errors import WorkbenchError
from workbench.jobs.progress import Tick
from workbench.model.layers import first_names
from workbench.model.quantizer import INPUT, ActivationQuantizer, quantizers, rounded_bias
from workbench.model.twin import twin
from workbench.registry import register
from workbench.steps.context import Context
from workbench.steps.option import option
from workbench.steps.quantize.activation_grids import mark_halves
from workbench.steps.state import State
from workbench.steps.step import Stage
from workbench.steps.train.taught import TaughtStep
from workbench.steps.train.training import finished, judge, trainable, zero_masks
from workbench.steps.train.training_checkpoint import TrainingCheckpoint
from workbench.task.batch import call, entering


def straight_through(values: Tensor, rounded: Tensor) -> Tensor:
    """Return `rounded`, with the gradient of `values`."""
    return rounded.detach() + (values - values.detach())


def slowed(values: Tensor, part: Tensor | float) -> Tensor:
    """Return `values`, with `part` of their gradient."""
    return values.detach() + (values - values.detach()) * part


class Trained(ABC):
    """A coding in training: from a weight to its values, with gradients."""

    def __init__(self, coding: Coding) -> None:
        self._coding = coding

    @property
    def parameters(self) -> list[nn.Parameter]:
        """What of the coding is trained beside the weight."""
        return []

    @abstractmethod
    def values(self, weight: Tensor) -> Tensor:
        """Return the weight's values on the grid as it now is, in the weight's shape and type."""

    def coding(self) -> Coding:
        """Return the coding as it now is."""
        return self._coding


class FixedGrid(Trained):
    """The nearest value of a grid that stays as it is."""

    def values(self, weight: Tensor) -> Tensor:
        return straight_through(weight, self._coding.round(weight).to(weight.dtype))


class LearnedStep(Trained):
    """An integer grid whose step sizes are trained.

    With steps s and zero points z, v = (round(clip(w / s, low - z, high - z))) s, rounding straight through. So dv/ds
    is round(w / s) - w / s inside of the grid and its end outside, which is the paper's equation 3; dv/dw is 1 inside
    and 0 outside.
    """

    def __init__(self, coding: Uniform, count: int) -> None:
        super().__init__(coding)
        self._uniform = coding
        self._logarithm = nn.Parameter(torch.zeros_like(coding.scale))
        # The paper's 1 / sqrt(weights of a step times largest integer).
        self._part = (count / coding.scale.numel() * coding.high) ** -0.5

    @property
    def parameters(self) -> list[nn.Parameter]:
        return [self._logarithm]

    def values(self, weight: Tensor) -> Tensor:
        # Divided by the squared step, the gradient of the logarithm moves a step as far as its own gradient would.
        part = self._part / self._uniform.scale.square()
        scale = self._uniform.scale * slowed(self._logarithm, part).exp()
        step, zero = (self._uniform.wide(table, weight.ndim) for table in (scale, self._uniform.zero_point))
        exact = (weight / step).clamp(self._uniform.low - zero, self._uniform.high - zero)
        return (straight_through(exact, exact.round()) * step).to(weight.dtype)

    def coding(self) -> Uniform:
        return replace(self._uniform, scale=self._uniform.scale * self._logarithm.detach().exp())


class LearnedBook(Trained):
    """A codebook whose values are trained. Weights keep their codes, and a value of zero stays zero."""

    def __init__(self, coding: Codebook, weight: Tensor) -> None:
        super().__init__(coding)
        self._codebook, self._codes = coding, coding.codes(weight)
        self._shift = nn.Parameter(torch.zeros_like(coding.book))
        self._unit = coding.book.square().mean().sqrt() * (coding.book != 0)

    @property
    def parameters(self) -> list[nn.Parameter]:
        return [self._shift]

    def values(self, weight: Tensor) -> Tensor:
        return (self._codebook.book + self._unit * self._shift)[self._codes].to(weight.dtype)

    def coding(self) -> Codebook:
        # Values may have passed each other.
        book: Tensor = torch.unique(self._codebook.book + self._unit * self._shift.detach())
        return replace(self._codebook, book=book)


class LearnedRange:
    """The step size of activation quantizers that share one grid, as what makes a value and what reads it do.

    Args:
        quantizer: One of them, as it is before.
        names: Of these quantizers.
        count: Numbers of one sample that are rounded.
    """

    def __init__(self, quantizer: ActivationQuantizer, names: Sequence[str], count: int) -> None:
        self.names, self._grid = tuple(names), quantizer.grid.clone()
        self.logarithm = nn.Parameter(torch.zeros_like(self._grid[0]))
        self._part = (max(count, 1) * quantizer.quant_max) ** -0.5 / quantizer.scale**2

    def grid(self) -> Tensor:
        """Return the grid as it now is, with gradients."""
        return torch.stack([self._grid[0] * slowed(self.logarithm, self._part).exp(), self._grid[1]])


def learned_ranges(model: nn.Module, modules: Collection[str], context: Context) -> list[LearnedRange]:
    """Return the activation grids at layers, by the names of these; those that are equal are one."""
    own, counts = quantizers(model), dict[str, int]()
    watched = twin(model)

    def look(name: str) -> Callable[..., None]:
        def hook(_: nn.Module, args: tuple[Tensor]) -> None:
            counts[name] = args[0].numel() // max(len(args[0]), 1)

        return hook

    for name, quantizer in quantizers(watched).items():
        quantizer.register_forward_pre_hook(look(name))
    with torch.no_grad():
        call(watched, context.example())
    alike: dict[tuple[float, ...], list[str]] = {}
    for name, quantizer in own.items():
        alike.setdefault((quantizer.bits, quantizer.scale, quantizer.zero_point), []).append(name)
    return [
        LearnedRange(own[names[0]], names, counts.get(names[0], 1))
        for names in alike.values()
        if any(name.rpartition(".")[0] in modules for name in names)
    ]


def in_training(coding: Coding, weight: Tensor, learned: bool) -> Trained:
    """Return how a weight's coding is trained."""
    if learned and isinstance(coding, Uniform):
        return LearnedStep(coding, weight.numel())
    if learned and isinstance(coding, Codebook):
        return LearnedBook(coding, weight)
    return FixedGrid(coding)


def at_rest(
    state: State, model: nn.Module, trained: dict[str, Trained], ranges: Sequence[LearnedRange], context: Context
) -> State:
    """Return the state of a model in training: its weights on their grids, and biases on those of integer kernels."""
    done = finished(model, state.model)
    rounding = quantizers(done)
    for one in ranges:
        now = one.grid().detach()
        for name in one.names:
            rounding[name].grid.copy_(now)
    if ranges:
        mark_halves(done, context.example())
    codings = dict(state.codings)
    # Tied weights are one tensor under several names.
    owners = {id(done.get_parameter(name)): grid.coding() for name, grid in trained.items()}
    with torch.no_grad():
        for name, grid in trained.items():
            weight = done.get_parameter(name)
            weight.copy_(grid.coding().round(grid.values(model.get_parameter(name))))
        for name in codings:
            codings[name] = owners.get(id(done.get_parameter(name)), codings[name])
            module = done.get_submodule(name.rpartition(".")[0])
            bias, entry = getattr(module, "bias", None), getattr(module, INPUT, None)
            if bias is not None and entry is not None:
                bias.copy_(rounded_bias(bias, codings[name], entry))
    return state.with_model(done, codings=codings)


@register
@dataclass(frozen=True, kw_only=True)
class TrainQuantized(TaughtStep):
    """Trains on with weights on the grids they are stored with. Pruned weights stay zero, activations their grids."""

    kind: ClassVar[str] = "train_quantized"
    title: ClassVar[str] = "Train quantized"
    also: ClassVar[str] = "QAT int8 int4 LSQ quantization-aware training"
    shelf: ClassVar[str] = "Quantize"
    position: ClassVar[int] = 6
    stage: ClassVar[Stage] = Stage.REFINE
    searched: ClassVar[bool] = True
    summary: ClassVar[str] = (
        "Trains a model whose weights are quantized or shared, through the rounding and with the grids if wanted, so "
        "that few bits lose less. Comes after quantize; keeps the epoch that scores best on validation."
    )

    grids: str = option(
        "learned",
        "Learned trains the step sizes of integer grids and the values of codebooks too; fixed leaves grids alone.",
        choices=("learned", "fixed"),
    )
    activation_grids: str = option(
        "fixed",
        "Learned trains the step sizes of what flows between layers too, which few bits need.",
        choices=("fixed", "learned"),
        more=True,
    )

    def train(self, state: State, context: Context) -> Iterator[Tick | State]:
        task = context.subject.task
        chosen = self.chosen(context.layers(state.model))
        names = first_names(state.model, chosen)
        coded = [name for name in names if name in state.codings]
        if not coded:
            raise WorkbenchError(
                f"{self.title}: no chosen layer is stored on a grid; put quantize, share_weights or the like before"
            )
        model = copy.deepcopy(state.model)
        parameters = trainable(model, chosen if self.layers != "*" or self.exclude else None)
        trained = {
            name: in_training(state.codings[name], model.get_parameter(name).detach(), self.grids == "learned")
            for name in coded
        }

        modules = {layer.module for layer in chosen}
        ranges = learned_ranges(model, modules, context) if self.activation_grids == "learned" else []

        def run(model: nn.Module, inputs: tuple[Tensor, ...]) -> object:
            values = {name: grid.values(model.get_parameter(name)) for name, grid in trained.items()}
            for one in ranges:
                values |= dict.fromkeys((f"{name}.grid" for name in one.names), one.grid())
            return functional_call(model, values, entering(model, inputs))

        grids = [parameter for grid in trained.values() for parameter in grid.parameters]
        grids += [one.logarithm for one in ranges]
        masks = zero_masks(model, state.pruned)
        objective = self.objective(state.model, context, run)
        training = self.begin(model, parameters, context, masks, objective, undecayed=grids)
        yield from self.best_epochs(
            training,
            TrainingCheckpoint(context, self, state),
            task,
            lambda: judge(model, task),
            lambda: at_rest(state, model, trained, ranges, context),
        )
