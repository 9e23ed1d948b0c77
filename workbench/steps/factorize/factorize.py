"""Low rank: layers written as two or three smaller ones, which together cost less.

The forms and their papers are in `splits`, `tucker` and `depthwise`. Ranks of all layers together are chosen as a
knapsack of their errors, with each layer whole as one of its choices, as in Idelbayev and Carreira-Perpiñán: "Low-rank
Compression of Neural Nets: Learning the Rank of Each Layer", 2020, without the training.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from workbench.errors import WorkbenchError, within
from workbench.graph.costs import macs_of_parameters
from workbench.model.layers import is_turned_linear
from workbench.model.quantizer import quantizers
from workbench.model.twin import sharing_copy, twin
from workbench.registry import register
from workbench.steps.calibration import input_moments
from workbench.steps.context import Context
from workbench.steps.factorize.forms import SPLITS
from workbench.steps.factorize.parts import Part, fitting, in_factors, sizes_in
from workbench.steps.factorize.ranks import (
    Choice,
    Cost,
    best,
    candidates,
    for_share,
    of_rank,
    within_budget,
    within_energy,
)
from workbench.steps.option import option
from workbench.steps.prune.amounts import own_amount, own_amounts, refuse_unmatched
from workbench.steps.state import State
from workbench.steps.step import GraphStep, Need, Stage
from workbench.task.batch import call

MOST = 0.99
WORDS = {"macs": "multiply-accumulates", "params": "parameters"}
read_own = partial(own_amounts, high=MOST, counts="ranks")


@register
@dataclass(frozen=True, kw_only=True)
class Factorize(GraphStep):
    """Writes layers as products of smaller ones."""

    kind: ClassVar[str] = "factorize"
    title: ClassVar[str] = "Factorize"
    also: ClassVar[str] = "low rank SVD Tucker decomposition separable"
    stage: ClassVar[Stage] = Stage.REPLACE
    summary: ClassVar[str] = (
        "Writes a layer as two or three smaller ones of low rank: vertical, then horizontal filters, or few channels "
        "between. Reconstruct brings back most of what that takes; ranks that are no multiples of 16 are rarely faster."
    )
    shelf: ClassVar[str] = "Factorize"
    position: ClassVar[int] = 1
    layer_kinds: ClassVar[tuple[str, ...]] = ("conv", "linear", "embedding")
    strength: ClassVar[str] = "amount"
    amounts: ClassVar[tuple[float, ...]] = (0.25, 0.5, 0.75)
    scans: ClassVar[str] = "layers"

    amount: float = option(0.5, "Part of the budget that goes.", low=0.0, high=MOST, step=0.01)
    budget: str = option(
        "layer",
        "Of what the amount is a part: of each layer's multiply-accumulates (of a table its parameters); of the "
        "energy of each layer's outputs; or of the whole model's multiply-accumulates (macs) or parameters (params), "
        "where layers that would lose most stay whole.",
        choices=("layer", "energy", "macs", "params"),
    )
    form: str = option(
        "spatial",
        "Of convolutions with a kernel: vertical, then horizontal filters (k×1, 1×k); few channels (k×k, 1×1); fewer "
        "channels on both sides (1×1, k×k, 1×1); a few filters for each channel (depthwise k×k, 1×1), which computes "
        "least and is seldom faster; or what loses least of the first three. Other layers get few channels.",
        choices=(*SPLITS, "best"),
    )
    by_layer: str = option(
        "",
        "Layers with a rank, or a part of their cost that goes, of their own: layer2.*=16, layer3.0.conv1=0.5.",
        more=True,
        reads=read_own,
    )
    round_to: int = option(
        1,
        "Ranks are multiples of this (of Tucker's form those of the outputs, of the depthwise none); ONNX Runtime "
        "likes 16.",
        unit="ranks",
        low=1,
        high=256,
    )
    whitened: bool = option(
        True,
        "Keep what layers give on calibration data, rather than their weights: what hardly enters hardly counts.",
        more=True,
    )

    def with_strength(self, layers: str, strength: float) -> Self:
        # A scan asks for a part of the layer it names, not of the whole model.
        return replace(super().with_strength(layers, strength), budget="layer", by_layer="")

    def needs(self) -> frozenset[Need]:
        return super().needs() | ({Need.CALIBRATION} if self.whitened else set())

    def build(self, state: State, context: Context) -> State:
        if quantizers(state.model):
            raise WorkbenchError(f"{self.title}: activations are on grids; put {self.kind} before")
        parts, whole = self._parts(state, context)
        with within(self.title):
            choices = self._choices(state, parts, context)
        if unchanged := [name for name in parts if name not in choices]:
            whole["no cheaper rank is within what was asked"] = unchanged
        if not choices and (self.budget == "layer" or not parts):
            reasons = "; ".join(f"{', '.join(names[:3])}: {why}" for why, names in whole.items())
            raise WorkbenchError(f"{self.title}: no layer becomes cheaper ({reasons})")
        replaced = {}
        for name, part, second in self._moments(state, {name: parts[name] for name in choices}, context, 0.5, 1.0):
            split, rank = choices[name].split, choices[name].rank
            replaced[name] = in_factors(part.module, split, split(part.weight, part.groups, second).factors(rank))
        model, read = _placed(state.model, replaced, context.example())
        if read:
            whole["its weight is read by the code around it"] = read
        done = {name: choice for name, choice in choices.items() if name in replaced and name not in read}
        if not done and choices:
            raise WorkbenchError(f"{self.title}: the weight of {', '.join(read[:3])} is read by the code around it")
        return _told(state, model, {name: replaced[name] for name in parts if name in done}, parts, done, whole)

    def _parts(self, state: State, context: Context) -> tuple[dict[str, Part], dict[str, list[str]]]:
        """Return the layers that can be written as factors, and those that cannot by the reason."""
        model, rows = state.model, context.layers(state.model)
        chosen = [layer for layer in self.chosen(rows) if self.acts_on(layer)]
        calls = sizes_in(model, [layer.module for layer in chosen if layer.is_whole], context.example())
        tensors = [id(value) for _, value in model.named_parameters(remove_duplicate=False)]
        parts, whole = dict[str, Part](), dict[str, list[str]]()
        for layer in chosen:
            module = model.get_submodule(layer.module)
            shared = tensors.count(id(model.get_parameter(layer.parameter))) > 1
            splits, why = fitting(layer, module, len(calls.get(layer.name, ())), shared, self.form)
            if splits:
                parts[layer.name] = Part(layer, module, tuple(calls[layer.name]), tuple(splits))
            else:
                whole.setdefault(why, []).append(layer.name)
        return parts, whole

    def _choices(self, state: State, parts: Mapping[str, Part], context: Context) -> dict[str, Choice]:
        """Return what each layer becomes; those that stay whole are left out."""
        own = read_own(self.by_layer)
        refuse_unmatched(own, list(parts))
        amounts = {name: own_amount(own, (name,)) for name in parts}
        alone = {name: self.amount if amount is None else amount for name, amount in amounts.items()
                 if amount is not None or self.budget == "layer"}  # fmt: skip
        asked = {name: self._asked(parts[name], amount) for name, amount in alone.items()}
        undecided = {name: part for name, part in parts.items() if name not in alone or len(asked[name]) > 1}
        cost, wholes = self._cost(parts)
        taken = {name: ways[0] for name, ways in asked.items() if ways}
        options = dict[str, tuple[Choice, ...]]()
        for name, part, second in self._moments(state, undecided, context, 0.0, 0.5):
            if name in alone:
                taken[name] = best(part, asked[name], second)
            else:
                options[name] = candidates(part, cost, wholes[name], self.round_to, second)
        if self.budget == "energy":
            within_it = {name: within_energy(ways, self.amount) for name, ways in options.items()}
            return taken | {name: choice for name, choice in within_it.items() if choice is not None}
        if self.budget == "layer":
            return taken
        total = self._total(state.model, context)
        rest = total - sum(wholes.values()) + sum(
            cost(parts[name], taken[name].split, taken[name].rank) if name in taken else wholes[name] for name in alone
        )  # fmt: skip
        return taken | within_budget(options, wholes, (1 - self.amount) * total, rest, WORDS[self.budget])

    def _asked(self, part: Part, amount: float) -> list[Choice]:
        """Return the ways to write a layer with a rank, or a part that goes, of its own; none for zero."""
        cost: Cost = Part.macs if part.layer.macs else Part.params
        whole = float(part.layer.macs or part.module.get_parameter("weight").numel())
        if isinstance(amount, int):
            return of_rank(part, cost, amount) if amount else []
        return for_share(part, cost, (1 - amount) * whole, self.round_to) if amount else []

    def _cost(self, parts: Mapping[str, Part]) -> tuple[Cost, dict[str, float]]:
        """Return what is counted, and what each layer costs as it is."""
        if self.budget == "params":
            sizes = {name: float(part.module.get_parameter("weight").numel()) for name, part in parts.items()}
            return Part.params, sizes
        return Part.macs, {name: float(part.layer.macs) for name, part in parts.items()}

    def _total(self, model: nn.Module, context: Context) -> float:
        if self.budget == "params":
            return float(sum(value.numel() for value in model.parameters()))
        by_parameter, rest = macs_of_parameters(model, context.example())
        return sum(by_parameter.values()) + rest

    def _moments(
        self, state: State, parts: Mapping[str, Part], context: Context, low: float, high: float
    ) -> Iterator[tuple[str, Part, Tensor | None]]:
        """Yield layers with the second moments of their inputs, None where these are not looked at."""
        tables = [name for name, part in parts.items()
                  if isinstance(part.module, nn.Embedding) or is_turned_linear(part.module)]  # fmt: skip
        seen = [name for name in parts if name not in tables] if self.whitened else []
        progress = context.progress.part(low, high)
        for name, moments in input_moments(state.model, context.subject.task, seen, progress) if seen else ():
            yield name, parts[name], moments.second
        for name in [name for name in parts if name not in seen]:
            progress.check()
            yield name, parts[name], None


def _placed(
    model: nn.Module, replaced: Mapping[str, nn.Module], example: tuple[Tensor, ...]
) -> tuple[nn.Module, list[str]]:
    """Return the model with modules in the place of others, and those that had to stay because code reads them."""
    smaller = with_modules(model, replaced)
    if _runs(smaller, example):
        return smaller, []
    read = [name for name, module in replaced.items() if not _runs(with_modules(model, {name: module}), example)]
    smaller = with_modules(model, {name: module for name, module in replaced.items() if name not in read})
    if not _runs(smaller, example):
        raise WorkbenchError("the model does not run with its layers as factors")
    return smaller, read


def _runs(model: nn.Module, example: tuple[Tensor, ...]) -> bool:
    with torch.no_grad():
        try:
            call(twin(model), example)
        except Exception:  # whatever the model's own code raises where a layer is no longer what it takes it for
            return False
    return True


def with_modules(model: nn.Module, replaced: Mapping[str, nn.Module]) -> nn.Module:
    """Return a model with other modules in some places, by name; everything else is shared."""
    smaller = sharing_copy(model)
    for name, module in replaced.items():
        if not name:
            return module
        smaller.set_submodule(name, module)
    return smaller


def _told(
    state: State,
    smaller: nn.Module,
    replaced: Mapping[str, nn.Module],
    parts: Mapping[str, Part],
    choices: Mapping[str, Choice],
    whole: Mapping[str, list[str]],
) -> State:
    """Return the state with its factors, saying what became of each layer."""
    ends = {f"{name}.{len(list(module.children())) - 1}".lstrip("."): name for name, module in replaced.items()}
    notes = [f"factorize: {', '.join(f'{name} {choices[name].split.kind} {choices[name].rank}' for name in replaced)}"]
    notes = notes if replaced else ["factorize: every layer stays whole"]
    lost = [parts[name].layer.parameter for name in replaced]
    if coded := [name for name in lost if name in state.codings]:
        notes.append(f"{', '.join(coded)}: stored in full again, because factors took their place")
    if masked := [name for name in lost if name in state.pruned]:
        notes.append(f"{', '.join(masked)}: zeros are gone, because factors took their place")
    notes += [f"{', '.join(names)}: kept whole, {why}" for why, names in whole.items()]
    return state.with_model(smaller, origins=ends).with_notes(*notes)
