"""Layers that share one weight: repeated blocks become one block that is run several times.

Lan et al.: "ALBERT: A Lite BERT for Self-supervised Learning of Language Representations", 2020, trained one block for
all layers; Dehghani et al.: "Universal Transformers", 2019, call it recurrence in depth. Bae et al.: "Relaxed Recursive
Transformers: Effective Parameter Sharing with Layer-wise LoRA", 2025, make a trained model so, and give each use a
difference of low rank, which starts as the truncated singular value decomposition of what the shared weight misses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from workbench.errors import WorkbenchError
from workbench.jobs.turn import TURN
from workbench.model.layers import Layer, own_parameters
from workbench.model.quantizer import quantizers
from workbench.model.twin import sharing_copy, twin
from workbench.registry import register
from workbench.steps.calibration import CONVOLUTIONS, calls_in
from workbench.steps.context import Context
from workbench.steps.factorize.parts import layer_of
from workbench.steps.option import option
from workbench.steps.share.sets import Sets, in_runs, layers_alike
from workbench.steps.state import State
from workbench.steps.step import GraphStep, Stage
from workbench.task.batch import call

GEOMETRY = ("stride", "padding", "dilation", "padding_mode")


def shared_weight(weights: Sequence[Tensor], start: str) -> Tensor:
    """Return the one weight that stands for several of one shape: their "average", or the "first" of them."""
    return weights[0].clone() if start == "first" else torch.stack([one.double() for one in weights]).mean(0)


def difference(weight: Tensor, shared: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Return the nearest two factors of what a weight has beyond the shared one: [rank, in, ...], [out, rank, 1, ...].

    Args:
        weight: [out, in, ...].
        shared: Of the same shape.
        rank: At most that of a matrix [out, in * ...]; a larger one is cut down to it.
    """
    left, values, right = torch.linalg.svd((weight.double() - shared.double()).flatten(1), full_matrices=False)
    rank = min(rank, len(values))
    roots = values[:rank].sqrt()
    up = (left[:, :rank] * roots).reshape(-1, rank, *(1,) * (weight.ndim - 2))
    return (roots[:, None] * right[:rank]).reshape(rank, *weight.shape[1:]), up


class Adapted(nn.Module):
    """A layer whose weight others use too, and what this use adds to it: shared(x) + up(down(x))."""

    def __init__(self, shared: nn.Module, down: nn.Module, up: nn.Module) -> None:
        super().__init__()
        self.shared, self.down, self.up = shared, down, up

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.shared(x) + self.up(self.down(x))
        return out


def adapted(module: nn.Module, down: Tensor, up: Tensor) -> Adapted:
    """Return a layer with a difference of its own; its tensors are shared with `module`.

    Args:
        module: A linear layer, or a convolution without groups.
        down: [rank, in, ...].
        up: [out, rank, 1, ...].
    """
    geometry: dict[str, Any] = {}
    still: dict[str, Any] = {}
    if isinstance(module, CONVOLUTIONS):
        geometry = {name: getattr(module, name) for name in GEOMETRY}
        still = {"stride": 1, "padding": 0, "dilation": 1, "padding_mode": "zeros"}
    parts = layer_of(module, down, None, **geometry), layer_of(module, up, None, **still)
    return Adapted(module, *parts).train(module.training)


@register
@dataclass(frozen=True, kw_only=True)
class TieLayers(GraphStep):
    """Lets layers of one shape share one weight."""

    kind: ClassVar[str] = "tie_layers"
    title: ClassVar[str] = "Tie layers"
    also: ClassVar[str] = "weight tying ALBERT universal transformer recursive"
    summary: ClassVar[str] = (
        "Lets repeated layers share one weight, which is stored once; norms and biases stay each layer's own, and so "
        "may a difference of low rank. The file gets smaller, not faster; train afterwards."
    )
    shelf: ClassVar[str] = "Share"
    position: ClassVar[int] = 1
    stage: ClassVar[Stage] = Stage.REPLACE
    layer_kinds: ClassVar[tuple[str, ...]] = ("conv", "linear", "attention", "lstm", "gru", "rnn")
    scans: ClassVar[str] = "layers"

    across: str = option(
        "blocks",
        "Which layers share: those of numbered blocks that are alike as a whole, which become one block run several "
        "times; those at the same place of numbered blocks; or all of one shape.",
        choices=("blocks", "places", "shapes"),
    )
    groups: int = option(
        1, "Weights that are left of each set; layers that follow each other share.", unit="weights", low=1, high=100
    )
    rank: int = option(
        0, "Rank of the difference that each layer adds of its own; 0 for none.", unit="ranks", low=0, high=1024
    )
    start: str = option(
        "average",
        "What the shared weight begins as: the average of all, or the first layer's.",
        choices=("average", "first"),
    )
    biases: bool = option(False, "Share biases too, as ALBERT does.", more=True)

    def build(self, state: State, context: Context) -> State:
        if quantizers(state.model):
            raise WorkbenchError(f"{self.title}: activations are on grids; put {self.kind} before")
        sets = self._sets(state.model, context)
        model, gone = sharing_copy(state.model), set[str]()
        for some in sets:
            gone.update(self._tie(state, model, some))
        own = self._adapt(state, model, sets, context)
        coded, masked = (sorted(gone & set(names)) for names in (state.codings, state.pruned))
        notes = [f"{', '.join(layer.name for layer in some)}: one weight" for some in sets]
        notes += [f"{', '.join(coded)}: stored in full again, because layers share it"] if coded else []
        notes += [f"{', '.join(masked)}: zeros are gone, because layers share it"] if masked else []
        plain = [layer.name for some in sets for layer in some if layer.name not in own] if self.rank else []
        notes += [f"{', '.join(plain)}: shared without a difference, which such a layer cannot have"] if plain else []
        unmasked = replace(state, pruned=state.pruned - gone)
        codings = {name: coding for name, coding in state.codings.items() if name not in gone}
        return unmasked.with_model(model, codings=codings).with_notes(*notes)

    def _sets(self, model: nn.Module, context: Context) -> Sets:
        """Return the sets of layers that are to share a weight and do not yet.

        Raises:
            WorkbenchError: There is none.
        """
        rows = [layer for layer in self.chosen(context.layers(model)) if self.acts_on(layer)]
        alike = layers_alike(rows, model, self.across)
        sets = [run for some in alike for run in in_runs(some, self.groups)]
        sets = [some for some in sets if len({id(model.get_parameter(layer.parameter)) for layer in some}) > 1]
        if sets:
            return sets
        why = "no chosen layers are at the same place of blocks that are alike"
        if self.across != "blocks":
            why = "no chosen layers have one shape" + (" and place" if self.across == "places" else "")
        why = f"with {self.groups} weights left of each set, no two layers share" if alike else why
        why = "the chosen layers share their weights already" if alike and self.groups == 1 else why
        raise WorkbenchError(f"{self.title}: {why}")

    def _tie(self, state: State, model: nn.Module, some: Sequence[Layer]) -> list[str]:
        """Put one weight in the place of several in `model`, and return the names of all that it replaced."""
        names = [[layer.parameter for layer in some]]
        biases = [own_parameters(state.model, layer)[1:] for layer in some]
        if self.biases and all(len(bias) == 1 for bias in biases):
            names.append([bias[0] for bias in biases])
        for alike in names:
            before = [model.get_parameter(name) for name in alike]
            value = shared_weight([one.detach() for one in before], self.start).to(before[0].dtype)
            _replace(model, {id(one) for one in before}, nn.Parameter(value, before[0].requires_grad))
        return [name for alike in names for name in alike]

    def _adapt(self, state: State, model: nn.Module, sets: Sets, context: Context) -> set[str]:
        """Give layers in `model` their differences, and return which have one."""
        every = [layer for some in sets for layer in some] if self.rank else []
        able = [layer for layer in every if layer.is_whole and _is_plain(state.model.get_submodule(layer.module))]
        called, own = set(calls_in(state.model, [layer.module for layer in able], context.example())), set[str]()
        for layer in able:
            if layer.module not in called:
                continue
            module, before = model.get_submodule(layer.module), state.parameter(layer.parameter)
            shared = module.get_parameter("weight").detach()
            model.set_submodule(layer.module, adapted(module, *difference(before, shared, self.rank)))
            if _runs(model, context.example()):
                own.add(layer.module)
            else:  # code around it reads its weight, which is now one module further in
                model.set_submodule(layer.module, module)
        return own


def _replace(model: nn.Module, before: set[int], value: nn.Parameter) -> None:
    """Put one parameter in the place of others, told by their ids, wherever a model holds them."""
    for module in model.modules():
        for name, held in module._parameters.items():
            if id(held) in before:
                module._parameters[name] = value


def _is_plain(module: nn.Module) -> bool:
    """Return whether a layer only multiplies what enters with its weight, and holds nothing besides."""
    if module._forward_hooks or module._forward_pre_hooks:
        return False
    convolution = next((base for base in CONVOLUTIONS if isinstance(module, base)), None)
    if convolution is None:
        return isinstance(module, nn.Linear) and type(module).forward is nn.Linear.forward
    return type(module).forward is convolution.forward and getattr(module, "groups", 1) == 1


def _runs(model: nn.Module, example: tuple[Tensor, ...]) -> bool:
    try:
        with TURN, torch.no_grad():
            call(twin(model), example)
    except Exception:  # whatever the model's own code raises where a layer is no longer what it takes it for
        return False
    return True
