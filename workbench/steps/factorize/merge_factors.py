"""Layers that follow each other directly become one where that is smaller: the way back from low rank.

Two linear maps after each other are one. Factors are worth their while as long as the rank between them is low; once
channels at their ends have gone, it may no longer be. Over-parametrized training (Arora, Cohen, Hazan: "On the
Optimization of Deep Networks: Implicit Acceleration by Overparameterization", 2018; Ding et al.: "RepVGG", 2021) ends
with the same merge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from workbench.errors import WorkbenchError
from workbench.graph import chains
from workbench.model.quantizer import quantizers
from workbench.model.twin import sharing_copy
from workbench.registry import register
from workbench.steps.calibration import CONVOLUTIONS
from workbench.steps.context import Context
from workbench.steps.factorize.parts import layer_of
from workbench.steps.factorize.splits import composed, in_groups
from workbench.steps.option import option
from workbench.steps.state import State
from workbench.steps.step import GraphStep, Need, check_unchanged

GEOMETRY = ("stride", "padding", "dilation")


def merged(first: nn.Module, second: nn.Module) -> nn.Module | None:
    """Return the one layer that does what two do after each other, None where no layer of their type does.

    Args:
        first: A convolution or linear layer.
        second: One of the same type, that reads nothing but the first's output.
    """
    geometry: dict[str, Any] | None = {}
    if isinstance(first, CONVOLUTIONS):
        geometry = _geometry(first, second) if type(first) is type(second) else None
    elif not type(first) is type(second) is nn.Linear:
        geometry = None
    if geometry is None:
        return None
    one, other = (module.get_parameter("weight").detach().double() for module in (first, second))
    weight = composed(one, other, getattr(first, "groups", 1))
    return layer_of(second, weight, _bias(first, second), **geometry)


def _bias(first: nn.Module, second: nn.Module) -> Tensor | None:
    """Return what the two add together, float64 [out]."""
    before, after = (module._parameters.get("bias") for module in (first, second))
    if before is None:
        return None if after is None else after.detach().double()
    weight = second.get_parameter("weight").detach().double()
    weight = weight.flatten(2).sum(2) if weight.ndim > 2 else weight
    groups = getattr(second, "groups", 1)
    added: Tensor = (in_groups(weight, groups) @ in_groups(before.detach().double(), groups)[..., None]).flatten()
    return added if after is None else added + after.detach().double()


def _geometry(first: Any, second: Any) -> dict[str, Any] | None:
    """Return how the merged convolution is placed; None where no one convolution does what the two do."""
    if first.groups != second.groups or "same" in (first.padding, second.padding):
        return None
    taken: dict[str, list[int]] = {name: [] for name in GEOMETRY}
    padded = [module for module in (first, second) if any(module._reversed_padding_repeated_twice)]
    if second in padded and first._parameters.get("bias") is not None:
        return None  # what pads the second is zero, and not the first's bias
    if len({module.padding_mode for module in padded}) > 1:
        return None
    for dim in range(len(first.kernel_size)):
        still = [_is_still(module, dim) for module in (first, second)]
        if not any(still):
            return None
        carrier = second if still[0] else first
        for name in GEOMETRY:
            value = getattr(carrier, name)
            taken[name].append(0 if value == "valid" else value[dim])
    mode = padded[0].padding_mode if padded else "zeros"
    return {**{name: tuple(values) for name, values in taken.items()}, "padding_mode": mode}


def _is_still(module: Any, dim: int) -> bool:
    """Return whether a convolution does nothing in a direction: each place is read once, where it is."""
    padding = 0 if module.padding == "valid" else module.padding[dim]
    return (module.kernel_size[dim], module.stride[dim], padding) == (1, 1, 0)


@register
@dataclass(frozen=True, kw_only=True)
class MergeFactors(GraphStep):
    """Makes one layer of two that follow each other directly. The model computes the same as before."""

    kind: ClassVar[str] = "merge_factors"
    title: ClassVar[str] = "Merge factors"
    summary: ClassVar[str] = (
        "Makes one layer of two with nothing between them, where the one is smaller: factors whose rank is no longer "
        "low once channels have gone. Outputs stay the same."
    )
    shelf: ClassVar[str] = "Factorize"
    position: ClassVar[int] = 2
    layer_kinds: ClassVar[tuple[str, ...]] = ("conv", "linear")

    when: str = option(
        "smaller", "Which pairs: those that get smaller, or all that can.", choices=("smaller", "always")
    )

    def needs(self) -> frozenset[Need]:
        return super().needs() | {Need.GRAPH}

    def build(self, state: State, context: Context) -> State:
        if quantizers(state.model):
            raise WorkbenchError(f"{self.title}: activations are on grids; put {self.kind} before")
        chosen = {layer.module for layer in self.chosen(context.layers(state.model)) if layer.is_whole}
        model, done = state.model, list[tuple[str, str]]()
        while pairs := self._pairs(model, chosen, context):
            model = sharing_copy(model)
            for first, second in pairs:
                single = merged(model.get_submodule(first), model.get_submodule(second))
                assert single is not None  # noqa: S101 - `_pairs` gives those that can be merged
                model.set_submodule(first, nn.Identity())
                model.set_submodule(second, single)
            done += pairs
        if not done:
            return state.with_notes(f"{self.title.lower()}: no two of the chosen layers are smaller as one")
        model, origins = _collapsed(state, model, [second for _, second in done])
        check_unchanged(state.model, model, context)
        lost = [f"{name}.weight" for name in dict.fromkeys(name for pair in done for name in pair)]
        full = [name for name in lost if name in state.codings or name in state.pruned]
        notes = [f"{', '.join(full)}: stored in full again, since two layers are one"] if full else []
        codings = {name: coding for name, coding in state.codings.items() if name not in lost}
        smaller = state.with_model(model, codings=codings, origins=origins)
        return smaller.with_notes(*(f"{second}: {first} went into it" for first, second in done), *notes)

    def _pairs(self, model: nn.Module, chosen: set[str], context: Context) -> list[tuple[str, str]]:
        """Return pairs that become one, no layer in two of them."""
        pairs: list[tuple[str, str]] = []
        for first, second in chains(model, context.example(), through=()):
            if not {first, second} <= chosen or any({first, second} & set(pair) for pair in pairs):
                continue
            one, other = model.get_submodule(first), model.get_submodule(second)
            layer = merged(one, other)
            if layer is not None and (self.when == "always" or _size(layer) < _size(one) + _size(other)):
                pairs.append((first, second))
        return pairs


def _size(module: nn.Module) -> int:
    return sum(value.numel() for value in module.parameters())


def _collapsed(state: State, model: nn.Module, seconds: list[str]) -> tuple[nn.Module, dict[str, str]]:
    """Put a merged layer in the place that it had before it was factors, where nothing else is left there."""
    origins = {}
    for name in dict.fromkeys(seconds):
        place = name.rpartition(".")[0]
        held = model.get_submodule(place) if place else model
        rest = [one for one in held.children() if not isinstance(one, nn.Identity)]
        if type(held) is nn.Sequential and len(rest) == 1 and place and state.origin(name) == state.origin(place):
            model.set_submodule(place, rest[0])
            origins[place] = name
    return model, origins
