"""Pruning of weights: the least important ones become zero, one by one or in patterns.

Han, Pool, Tran, Dally: "Learning both Weights and Connections for Efficient Neural Networks", 2015. Patterns and
compensation name their papers in `patterns` and `compensation`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from torch import Tensor, nn

from workbench.calibration import CONVOLUTIONS, damped, input_moments, inverse_factor
from workbench.context import Context
from workbench.errors import WorkbenchError
from workbench.importance import WEIGHT_CRITERIA, rank_weights
from workbench.layers import Layer
from workbench.steps.bounds import Bounds, amount_below, magnitude_at
from workbench.steps.compensation import column_update, least_squares
from workbench.steps.option import option
from workbench.steps.patterns import PATTERNS, RANKINGS, pattern_masks
from workbench.steps.state import State
from workbench.steps.step import Change, WeightStep


@dataclass(frozen=True, kw_only=True)
class Prune(WeightStep):
    """Sets the least important weights to zero. The file shrinks; dense kernels run as fast as before."""

    kind: ClassVar[str] = "prune"
    title: ClassVar[str] = "Prune weights"
    shelf: ClassVar[str] = "Prune"
    summary: ClassVar[str] = (
        "Sets the least important weights to zero, one by one or in patterns. The file gets smaller, because zeros are "
        "not stored; it does not get faster, because dense kernels multiply zeros too."
    )
    strength: ClassVar[str] = "amount"
    amounts: ClassVar[tuple[float, ...]] = (0.3, 0.5, 0.7, 0.9)

    amount: float = option(0.5, "Part of the weights that becomes zero.", low=0.0, high=1.0, step=0.01)
    importance: str = option("magnitude", "What decides which weights matter.", choices=tuple(WEIGHT_CRITERIA))
    ranking: str = option(
        "local",
        "Local takes the same part of every layer, output the same of every output of a layer; global ranks the "
        "weights of all layers together.",
        choices=RANKINGS,
        more=True,
    )
    pattern: str = option(
        "unstructured",
        "Single weights; n:m, the same number out of every few inputs; square blocks of the weight as a matrix; or "
        "whole kernels of a convolution.",
        choices=PATTERNS,
    )
    size: int = option(
        4,
        "Inputs of one group in n:m (an amount of 0.5 with 4 is 2:4), or the side of a block.",
        unit="weights",
        low=2,
        high=64,
        more=True,
    )
    compensation: str = option(
        "none",
        "Whether the weights that stay make up for those that go, layer by layer on calibration data: column by "
        "column, or exactly, which takes long for wide layers.",
        choices=("none", "columns", "exact"),
        more=True,
    )

    def bounds(self, weight: Tensor, layer: Layer) -> Bounds | None:
        # Only then is there one magnitude in a layer that parts what stays from what goes.
        if (self.importance, self.ranking, self.pattern) != ("magnitude", "local", "unstructured"):
            return None
        magnitude = magnitude_at(weight, self.amount)
        return Bounds(-magnitude, magnitude, "inside", "amount")

    def with_bounds(self, weight: Tensor, layer: Layer, low: float, high: float) -> Self:
        return replace(self, amount=round(amount_below(weight, max(-low, high)), 2))

    def changes(self, state: State, context: Context) -> dict[str, Change]:
        # Tied layers share one parameter: it is pruned once, under its first name.
        by_tensor = {
            id(state.model.get_parameter(layer.parameter)): layer
            for layer in reversed(self.chosen(context.layers(state.model)))
        }
        layers = {layer.parameter: layer for layer in reversed(by_tensor.values())}
        if self.compensation != "none":
            _refuse_other(state.model, layers.values(), self.title)
        ranked = context.within(0.0, 0.5 if self.compensation != "none" else 1.0)
        scores = rank_weights(WEIGHT_CRITERIA[self.importance], state.model, list(layers), ranked)
        outputs = {name: layer.outputs for name, layer in layers.items()}
        masks = pattern_masks(scores, outputs, self.amount, self.ranking, self.pattern, self.size)
        weights = {name: state.model.get_parameter(name).detach() for name in layers}
        pruned = {name: weight.masked_fill(~masks[name], 0.0) for name, weight in weights.items()}
        if self.compensation != "none":
            # What an earlier step has pruned is zero and stays so.
            keep = {name: mask & (weights[name] != 0) for name, mask in masks.items()}
            pruned |= self._compensated(state.model, layers, keep, context.within(0.5, 1.0, "making up for what goes"))
        return {name: Change(value, pruned=True) for name, value in pruned.items()}

    def _compensated(
        self, model: nn.Module, layers: Mapping[str, Layer], keep: Mapping[str, Tensor], context: Context
    ) -> dict[str, Tensor]:
        """Return the new weights of layers that are called."""
        parameters = {layer.name: name for name, layer in layers.items()}
        found = {}
        for layer, moments in input_moments(model, context.subject.task, list(parameters), context.progress):
            context.progress.check()
            name = parameters[layer]
            weight = model.get_parameter(name).detach()
            if self.compensation == "exact":
                found[name] = least_squares(weight, keep[name], damped(moments.second))
            else:
                found[name] = column_update(weight, keep[name], inverse_factor(moments.second))
        return found


def _refuse_other(model: nn.Module, layers: Iterable[Layer], title: str) -> None:
    wrong = [
        layer.name for layer in layers if not isinstance(model.get_submodule(layer.name), (nn.Linear, *CONVOLUTIONS))
    ]
    if wrong:
        raise WorkbenchError(
            f"{title}: only linear layers and convolutions that are not transposed can be compensated; exclude "
            f"{', '.join(wrong)}"
        )
