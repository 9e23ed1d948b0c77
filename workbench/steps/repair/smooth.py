"""Scales moved between layer norms and the linear layers that read them, so that both are easier to quantize.

Xiao et al.: "SmoothQuant: Accurate and Efficient Post-Training Quantization for Large Language Models", 2023: inputs
with outliers are divided by what the weights are multiplied with, so that both keep moderate ranges. Lin et al.: "AWQ:
Activation-aware Weight Quantization for LLM Compression and Acceleration", 2024: weights of channels with large inputs
are scaled up, so that rounding them costs less; how much is searched for on the calibration split, layer by layer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from workbench.checkpoint.coding import grid
from workbench.errors import WorkbenchError, within
from workbench.graph.readers import norm_readers
from workbench.jobs.turn import TURN
from workbench.model.quantizer import quantizers
from workbench.model.twin import sharing_copy, twin
from workbench.registry import register
from workbench.steps.calibration import calibration_batches
from workbench.steps.context import Context
from workbench.steps.option import option
from workbench.steps.state import State
from workbench.steps.step import GraphStep, Need, check_unchanged
from workbench.task.batch import call

EXPONENTS = torch.linspace(0.0, 1.0, 21).tolist()  # that AWQ's search tries


@dataclass
class Inputs:
    """Statistics of what a norm gives, x [..., d], over the calibration split.

    Attributes:
        largest: max |x|, [d].
        second: Sum of x x^T, float64 [d, d].
        count: How many x.
    """

    largest: Tensor
    second: Tensor
    count: int = 0

    def add(self, values: Tensor) -> None:
        """Take more values, [..., d]."""
        rows = values.reshape(-1, values.shape[-1])
        self.largest = torch.maximum(self.largest, rows.abs().amax(0))
        wide = rows.double()
        self.second += wide.T @ wide
        self.count += len(rows)


def balance(inputs: Tensor, weights: Tensor, migration: float) -> Tensor:
    """Return SmoothQuant's factors max|x|^migration / max|w|^(1 - migration), [d]; 1 where a channel is always zero.

    Args:
        inputs: Largest magnitude of every input, [d].
        weights: Largest magnitude of the weights that multiply it, [d].
        migration: 0 leaves inputs with all of the ranges, 1 evens them out and leaves it to the weights.
    """
    used = (inputs > 0) & (weights > 0)
    balanced = inputs.clamp(min=1e-12) ** migration / weights.clamp(min=1e-12) ** (1 - migration)
    return torch.where(used, balanced, torch.ones_like(balanced))


def rounding_error(weight: Tensor, factors: Tensor, second: Tensor, bits: int) -> float:
    """Return the squared error of W x summed over data, when W s is rounded per output and x divided by s.

    Args:
        weight: W, [outputs, d].
        factors: s, [d].
        second: Sum of x x^T, [d, d].
        bits: Of the symmetric grid.
    """
    scaled = weight * factors
    gap = ((grid(scaled, bits, 0, True).round(scaled) - scaled) / factors).double()
    return float(((gap @ second) * gap).sum())


def searched(inputs: Inputs, weights: Sequence[Tensor], bits: int) -> Tensor:
    """Return AWQ's factors rms(x)^a, [d], with the a in 0 to 1 that loses least when the weights are rounded."""
    size = (inputs.second.diagonal() / max(inputs.count, 1)).sqrt().float()
    best, least = torch.ones_like(size), float("inf")
    for exponent in EXPONENTS:
        factors = size.clamp(min=1e-4 * float(size.max().clamp(min=1e-12))) ** exponent
        factors = factors / (factors.max() * factors.min()).sqrt()
        error = sum(rounding_error(weight, factors, inputs.second, bits) for weight in weights)
        if error < least:
            best, least = factors, error
    return best


@register
@dataclass(frozen=True, kw_only=True)
class Smooth(GraphStep):
    """Moves scales from layer norms to the linear layers that read them. The model computes the same as before."""

    kind: ClassVar[str] = "smooth"
    title: ClassVar[str] = "Smooth activations"
    also: ClassVar[str] = "SmoothQuant AWQ outliers"
    summary: ClassVar[str] = (
        "Moves scales between layer norms and the linear layers that read them, from calibration data. Outputs stay "
        "the same; quantization loses less afterwards where some channels are much larger than others."
    )
    shelf: ClassVar[str] = "Repair"
    position: ClassVar[int] = 3
    layer_kinds: ClassVar[tuple[str, ...]] = ("linear",)

    method: str = option(
        "activations",
        "For grids of activations and weights (SmoothQuant), or for grids of weights alone (AWQ).",
        choices=("activations", "weights"),
    )
    migration: float = option(
        0.5, "How much of the activations' range goes to the weights (SmoothQuant).", low=0.0, high=1.0, step=0.05
    )
    bits: int = option(4, "Of the grid that weights will be on (AWQ).", unit="bits", low=2, high=8)

    def needs(self) -> frozenset[Need]:
        return super().needs() | {Need.CALIBRATION, Need.GRAPH}

    def build(self, state: State, context: Context) -> State:
        if quantizers(state.model):
            raise WorkbenchError(f"{self.title}: activations are on grids that would no longer fit; smooth first")
        chosen = {layer.parameter for layer in self.chosen(context.layers(state.model))}
        pairs = {
            norm: weights
            for norm, weights in norm_readers(state.model, context.example())
            if chosen.issuperset(weights)
        }
        if not pairs:
            note = f"{self.title.lower()}: no layer norm is read by the chosen linear layers alone"
            return state.with_notes(note)
        names = [*(f"{norm}.{name}" for norm in pairs for name in ("weight", "bias")), *chain(*pairs.values())]
        model = sharing_copy(state.model, {name: state.parameter(name).clone() for name in names})
        for norm, inputs in observed(state.model, list(pairs), context).items():
            self._move(model, norm, pairs[norm], inputs)
        with within(self.title):
            check_unchanged(state.model, model, context)
        return state.with_model(model, why="its inputs were scaled")

    def _move(self, model: nn.Module, norm: str, names: Sequence[str], inputs: Inputs) -> None:
        weights = [model.get_parameter(name) for name in names]
        with torch.no_grad():
            if self.method == "weights":
                factors = searched(inputs, [weight.detach() for weight in weights], self.bits)
            else:
                peaks = torch.stack([weight.abs().amax(0) for weight in weights]).amax(0)
                factors = balance(inputs.largest, peaks, self.migration)
            for name in ("weight", "bias"):
                model.get_submodule(norm).get_parameter(name).div_(factors)
            for weight in weights:
                weight.mul_(factors)


def observed(model: nn.Module, norms: Sequence[str], context: Context) -> Mapping[str, Inputs]:
    """Return statistics of what the named norms give on the calibration split."""
    watched, entering = twin(model), {}
    for name in norms:
        weight = watched.get_submodule(name).get_parameter("weight").detach()
        second = torch.zeros(len(weight), len(weight), dtype=torch.float64, device=weight.device)
        entering[name] = Inputs(torch.zeros(len(weight), device=weight.device), second)

        def hook(_: nn.Module, __: Any, output: Tensor, inputs: Inputs = entering[name]) -> None:
            inputs.add(output.detach())

        watched.get_submodule(name).register_forward_hook(hook)
    for batch, _ in calibration_batches(context.subject.task, context.progress, "looking at what norms give"):
        with TURN, torch.no_grad():
            call(watched, batch)
    return entering
