"""Pruning of weights: the least important ones become zero, one by one or in patterns.

Han, Pool, Tran, Dally: "Learning both Weights and Connections for Efficient Neural Networks", 2015. Patterns and
compensation name their papers in `patterns` and `compensation`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, Self

from torch import Tensor, nn

from workbench.errors import WorkbenchError
from workbench.model.layers import Layer, first_names
from workbench.registry import register
from workbench.steps.bounds import Bounds, amount_below, magnitude_at
from workbench.steps.calibration import damped, input_moments, inverse_factor
from workbench.steps.change import Change
from workbench.steps.context import Context
from workbench.steps.option import option
from workbench.steps.prune.amounts import own_amount, own_amounts, refuse_unmatched
from workbench.steps.prune.compensation import column_update, least_squares
from workbench.steps.prune.importance import WEIGHT_CRITERIA, judged_weights, rank_weights
from workbench.steps.prune.importance.layer_inputs import is_readable
from workbench.steps.prune.patterns import PATTERNS, RANKINGS, each_mask
from workbench.steps.state import State
from workbench.steps.step import Axes, Need, Stage, WeightStep
from workbench.steps.untouched import untouched_note


@register
@dataclass(frozen=True, kw_only=True)
class Prune(WeightStep):
    """Sets the least important weights to zero. The file shrinks; dense kernels run as fast as before."""

    kind: ClassVar[str] = "prune"
    title: ClassVar[str] = "Prune weights"
    also: ClassVar[str] = "sparsity unstructured N:M 2:4 SparseGPT wanda zeros"
    shelf: ClassVar[str] = "Prune"
    position: ClassVar[int] = 1
    stage: ClassVar[Stage] = Stage.PRUNE
    searched: ClassVar[bool] = True
    axes: ClassVar[Axes] = {"ranking": ("global", "local")}
    summary: ClassVar[str] = (
        "Sets the least important weights to zero, one by one or in patterns. The file gets smaller, because zeros are "
        "not stored; it does not get faster, because dense kernels multiply zeros too."
    )
    strength: ClassVar[str] = "amount"
    amounts: ClassVar[tuple[float, ...]] = (0.3, 0.5, 0.7, 0.9)

    amount: float = option(0.5, "Part of the weights that becomes zero.", low=0.0, high=1.0, step=0.01)
    by_layer: str = option(
        "",
        "Layers with a part of their weights of their own: layer2.*=0.5, layer3.*=0.25.",
        more=True,
        reads=partial(own_amounts, high=1.0),
    )
    importance: str = option("magnitude", "What decides which weights matter.", choices=WEIGHT_CRITERIA)
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

    def with_strength(self, layers: str, strength: float) -> Self:
        return replace(super().with_strength(layers, strength), by_layer="")

    def bounds(self, weight: Tensor, layer: Layer) -> Bounds | None:
        # Only then is there one magnitude in a layer that parts what stays from what goes.
        if (self.importance, self.ranking, self.pattern) != ("magnitude", "local", "unstructured"):
            return None
        own = own_amount(own_amounts(self.by_layer, 1.0), (layer.name,))
        magnitude = magnitude_at(weight, self.amount if own is None else own)
        return Bounds(-magnitude, magnitude, "inside", "amount")

    def with_bounds(self, weight: Tensor, layer: Layer, low: float, high: float) -> Self:
        amount, own = round(amount_below(weight, max(-low, high)), 2), own_amounts(self.by_layer, 1.0)
        if own_amount(own, (layer.name,)) is None:
            return replace(self, amount=amount)
        others = [(glob, value) for glob, value in own if glob != layer.name]
        return replace(self, by_layer=", ".join(f"{glob}={value:g}" for glob, value in [(layer.name, amount), *others]))

    def needs(self) -> frozenset[Need]:
        return super().needs() | ({Need.CALIBRATION} if self.compensation != "none" else set())

    def changes(self, state: State, context: Context) -> dict[str, Change]:
        layers, _ = self._judged(state, context)
        if self.compensation != "none":
            _refuse_other(state.model, layers.values(), self.title)
        ranked = context.within(0.0, 0.5 if self.compensation != "none" else 1.0)
        scores = rank_weights(WEIGHT_CRITERIA[self.importance], state.model, list(layers), ranked)
        if self.compensation == "none":
            masks_by_name = ranked.progress.over(self._each_mask(scores, layers), len(layers), "pruning")
            pruned = {name: _zeroed(state, name, mask) for name, mask in masks_by_name}
        else:
            # What an earlier step has pruned is zero and stays so.
            masks = dict(self._each_mask(scores, layers))
            keep = {name: mask & (state.parameter(name) != 0) for name, mask in masks.items()}
            pruned = {name: _zeroed(state, name, mask) for name, mask in masks.items()}
            pruned |= self._compensated(state.model, layers, keep, context.within(0.5, 1.0, "making up for what goes"))
        return {name: Change(value, pruned=True) for name, value in pruned.items()}

    def remarks(self, state: State, context: Context) -> list[str]:
        _, left = self._judged(state, context)
        reasons = dict.fromkeys(left.values())
        notes = [f"{', '.join(name for name in left if left[name] == why)}: not pruned; {why}" for why in reasons]
        return notes + untouched_note(self.title, state.model, context.layers(state.model))

    def _judged(self, state: State, context: Context) -> tuple[dict[str, Layer], dict[str, str]]:
        """Return the layers that are pruned by the names of their weights, and why others are left alone.

        Those that were asked for by name are not left alone: the criterion then refuses them.
        """
        layers = first_names(state.model, self.chosen(context.layers(state.model)))
        if self.layers != "*":
            return layers, {}
        fit, left = judged_weights(WEIGHT_CRITERIA[self.importance], state.model, layers)
        if self.compensation == "none":
            return fit, left
        compensable = {name: layer for name, layer in fit.items() if _compensable(state.model, layer)}
        if not compensable:
            return fit, left
        names = [layer.name for name, layer in fit.items() if name not in compensable]
        return compensable, left | dict.fromkeys(names, "no other weights can make up for what goes")

    def _each_mask(self, scores: Mapping[str, Tensor], layers: Mapping[str, Layer]) -> Iterator[tuple[str, Tensor]]:
        """Yield the masks of all weights; layers with an amount of their own are ranked by themselves."""
        own = own_amounts(self.by_layer, 1.0)
        refuse_unmatched(own, [layer.name for layer in layers.values()])
        amounts = {name: own_amount(own, (layer.name,)) for name, layer in layers.items()}
        outputs = {name: layer.outputs for name, layer in layers.items()}
        rest = scores if not own else {name: scores[name] for name, amount in amounts.items() if amount is None}
        yield from each_mask(rest, outputs, self.amount, self.ranking, self.pattern, self.size)
        for name, amount in amounts.items():
            if amount is not None:
                yield from each_mask({name: scores[name]}, outputs, amount, self.ranking, self.pattern, self.size)

    def _compensated(
        self, model: nn.Module, layers: Mapping[str, Layer], keep: Mapping[str, Tensor], context: Context
    ) -> dict[str, Tensor]:
        """Return the new weights of layers that are called."""
        parameters = {layer.name: name for name, layer in layers.items()}
        compensated = {}
        for layer, moments in input_moments(model, context.subject.task, list(parameters), context.progress):
            context.progress.check()
            name = parameters[layer]
            weight = model.get_parameter(name).detach()
            if self.compensation == "exact":
                compensated[name] = least_squares(weight, keep[name], damped(moments.second))
            else:
                compensated[name] = column_update(weight, keep[name], inverse_factor(moments.second))
        return compensated


def _zeroed(state: State, name: str, mask: Tensor) -> Tensor:
    return state.parameter(name).masked_fill(~mask, 0.0)


def _compensable(model: nn.Module, layer: Layer) -> bool:
    return layer.is_whole and is_readable(model.get_submodule(layer.module))


def _refuse_other(model: nn.Module, layers: Iterable[Layer], title: str) -> None:
    wrong = [layer.name for layer in layers if not _compensable(model, layer)]
    if wrong:
        raise WorkbenchError(
            f"{title}: only linear layers and convolutions that are not transposed can be compensated; exclude "
            f"{', '.join(wrong)}"
        )
