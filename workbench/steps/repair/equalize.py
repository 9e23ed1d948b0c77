"""Cross-layer equalization: channels of one layer get the same range, and the next layer takes the difference.

Nagel et al.: "Data-Free Quantization Through Weight Equalization and Bias Correction", 2019, section 4.1. It
helps grids that many channels share, and networks whose channels differ much, such as those of depthwise
convolutions; a grid for each channel of weights is hardly better for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from workbench.errors import WorkbenchError, within
from workbench.graph import chains, fold_batchnorm
from workbench.model.layers import Layer
from workbench.model.quantizer import quantizers
from workbench.model.twin import sharing_copy
from workbench.registry import register
from workbench.steps.context import Context
from workbench.steps.option import option
from workbench.steps.state import State
from workbench.steps.step import GraphStep, Need, check_unchanged


def factors(first: Tensor, second: Tensor) -> Tensor:
    """Return what each channel's weights are divided by in the first layer and multiplied by in the second.

    Args:
        first: Largest magnitude of the weights that make each channel, [C].
        second: Largest magnitude of the weights that read it, [C].

    Returns:
        [C]; with it both have the magnitude sqrt(first * second). 1.0 where one of them is zero.
    """
    balanced = (first / second).sqrt()
    return torch.where((first > 0) & (second > 0), balanced, torch.ones_like(balanced))


def peaks(weight: Tensor, dim: int) -> Tensor:
    """Return the largest magnitude at every index of a dimension, [size]."""
    return weight.detach().abs().movedim(dim, 0).flatten(1).amax(1)


def equalize(model: nn.Module, pairs: Sequence[tuple[Layer, Layer]], rounds: int) -> None:
    """Move scales between neighbouring layers, in place, without changing what the model computes."""
    with torch.no_grad():
        for _ in range(rounds):
            for one, other in pairs:
                first, second = model.get_submodule(one.name), model.get_submodule(other.name)
                read = read_along(other)
                parts = factors(peaks(first.weight, one.outputs), peaks(second.weight, read))  # type: ignore[arg-type]
                _scale(first.get_parameter("weight"), one.outputs, 1 / parts)
                _scale(second.get_parameter("weight"), read, parts)
                if isinstance(first.bias, Tensor):
                    first.bias /= parts


def read_along(layer: Layer) -> int:
    """Return the dimension of a layer's weight that counts input channels."""
    return 0 if "depthwise" in layer.kind else 1 - layer.outputs


def _scale(weight: Tensor, dim: int, parts: Tensor) -> None:
    weight *= parts.view([-1 if number == dim else 1 for number in range(weight.ndim)])


@register
@dataclass(frozen=True, kw_only=True)
class Equalize(GraphStep):
    """Evens out the ranges of channels between neighbouring layers. The model computes the same as before."""

    kind: ClassVar[str] = "equalize"
    title: ClassVar[str] = "Equalize channels"
    also: ClassVar[str] = "cross-layer equalization"
    shelf: ClassVar[str] = "Repair"
    position: ClassVar[int] = 2
    layer_kinds: ClassVar[tuple[str, ...]] = ("conv", "linear")
    summary: ClassVar[str] = (
        "Folds batch norms, then scales channels between neighbouring layers so that their weights have equal ranges. "
        "Outputs stay the same; quantization with one scale for a tensor, or of activations, loses less afterwards."
    )

    rounds: int = option(10, "Passes over all pairs of layers.", unit="passes", low=1, high=100)

    def needs(self) -> frozenset[Need]:
        return super().needs() | {Need.GRAPH}

    def build(self, state: State, context: Context) -> State:
        chosen = {layer.name for layer in self.chosen(context.layers(state.model))}
        if quantizers(state.model):
            raise WorkbenchError(f"{self.title}: activations are on grids that would no longer fit; equalize first")
        model = fold_batchnorm(state.model, context.example(), chosen)
        known = {layer.name: layer for layer in context.layers(model)}
        pairs = [
            (known[one], known[other])
            for one, other in chains(model, context.example())
            if {one, other} <= chosen & known.keys() and _fits(known[one], known[other])
        ]
        if not pairs:
            note = f"{self.title.lower()}: no two of the chosen layers follow each other with at most a ReLU between"
            return state.with_notes(note)
        model = _own_weights(model, pairs)
        equalize(model, pairs, self.rounds)
        with within(self.title):
            check_unchanged(state.model, model, context)
        return state.with_model(model, why="its channels were scaled")


def _own_weights(model: nn.Module, pairs: Sequence[tuple[Layer, Layer]]) -> nn.Module:
    """Return the model with own tensors where scales will be moved; the others are shared."""
    names = {name for pair in pairs for layer in pair for name in (layer.parameter, f"{layer.name}.bias")}
    stored = dict(model.named_parameters(remove_duplicate=False))
    return sharing_copy(model, {name: stored[name].clone() for name in names & stored.keys()})


def _fits(one: Layer, other: Layer) -> bool:
    """Return whether each of the first's output channels is one of the second's input channels."""
    if "transposed" in one.kind + other.kind or ("linear" in one.kind) != ("linear" in other.kind):
        return False
    return one.shape[one.outputs] == other.shape[read_along(other)]
