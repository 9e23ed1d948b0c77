"""Units of coupled groups: which may go, and the state without them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Protocol, TypeVar

from torch import nn

from workbench.errors import WorkbenchError
from workbench.graph import Group, cut, kept_indices, not_cut, verify
from workbench.model.layers import Layer, globs
from workbench.steps.context import Context
from workbench.steps.prune.importance import Criterion
from workbench.steps.state import State


class Layered(Protocol):
    """What is made by layers: a group of channels or heads, a residual branch."""

    @property
    def layers(self) -> Sequence[str]: ...


Part = TypeVar("Part", bound=Layered)


def reached(parts: Sequence[Part], include: str, exclude: str) -> list[Part]:
    """Return the parts with a producing layer that is included and none that is excluded."""
    wanted, unwanted = globs(include), globs(exclude)
    return [
        part
        for part in parts
        if any(fnmatchcase(layer, glob) for layer in part.layers for glob in wanted)
        and not any(fnmatchcase(layer, glob) for layer in part.layers for glob in unwanted)
    ]


def free(
    groups: Sequence[Group], model: nn.Module, asked: str, criterion: Criterion | None = None
) -> tuple[list[Group], tuple[str, ...]]:
    """Return the groups whose units may go, and can be ranked by a criterion if there is one; and a note on the others.

    Raises:
        WorkbenchError: There is none; the message says why, and what was `asked` for.
    """
    barred = {}
    for group in groups:
        if why := group.protected or (criterion.unfit(model, group) if criterion else ""):
            barred[group.name] = why
    allowed = [group for group in groups if group.name not in barred]
    if not allowed:
        why = "; ".join(f"{name}: {why}" for name, why in barred.items()) or "they produce none"
        raise WorkbenchError(f"nothing in {asked} can be cut. {why}")
    return allowed, tuple(not_cut(name, why) for name, why in barred.items())


def rewritten(before: nn.Module, model: nn.Module) -> tuple[str, ...]:
    """Return the note on a model that stands for the one before because widths were written into its code."""
    if model is before:
        return ()
    return ("widths are written into the model's code; it is now made of its traced graph, in which they follow",)


def uncoupled_notes(groups: Sequence[Group], layers: Sequence[Layer]) -> list[str]:
    """Return a note on layers of which no channel is in any group, such as tables of embeddings.

    Args:
        groups: All of the model.
        layers: What was asked for.
    """
    held = {slot.parameter for group in groups for slot in group.units[0]}
    held |= {name.rpartition(".")[0] for name in held}  # of tied layers one stands for all
    names = [layer.name for layer in layers if held.isdisjoint((layer.parameter, layer.name, *layer.ties))]
    return [not_cut(name, "its channels are in no group") for name in names]


def without(
    state: State, model: nn.Module, groups: Sequence[Group], remove: Mapping[str, Sequence[int]], context: Context
) -> State:
    """Return the state without these units, after a check that the smaller model computes the same.

    Args:
        state: What it was made of.
        model: Its model, or the same with other modules around the same parameters.
        groups: Of `model`.
        remove: For group names the numbers of the units that go.
        context: Gives inputs.
    """
    context.progress.update(0.0, "checking that the smaller model computes the same")
    verify(model, groups, remove, context.example())
    codings = dict(state.codings)
    for (parameter, dim), keep in kept_indices(model, groups, remove).items():
        if parameter in codings:
            codings[parameter] = codings[parameter].select(dim, keep)
    return state.with_model(cut(model, groups, remove), codings=codings)
