"""Structured pruning: whole channels go, with everything that is coupled to them.

Li et al.: "Pruning Filters for Efficient ConvNets", 2017; coupling as in Fang et al.: "DepGraph: Towards Any
Structural Pruning", 2023, but followed channel by channel instead of layer by layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import ClassVar

from workbench.errors import WorkbenchError
from workbench.graph import Group, cut, kept_indices, verify
from workbench.importance import CRITERIA, rank_units
from workbench.importance.ranking import least_important
from workbench.layers import globs
from workbench.steps.option import option
from workbench.steps.state import Context, State
from workbench.steps.step import GraphStep


def reached(groups: Sequence[Group], include: str, exclude: str) -> list[Group]:
    """Return the groups with a producing layer that is included and none that is excluded."""
    wanted, unwanted = globs(include), globs(exclude)
    return [
        group
        for group in groups
        if any(fnmatchcase(layer, glob) for layer in group.layers for glob in wanted)
        and not any(fnmatchcase(layer, glob) for layer in group.layers for glob in unwanted)
    ]


@dataclass(frozen=True, kw_only=True)
class PruneChannels(GraphStep):
    """Removes whole channels; the model is really smaller and faster afterwards."""

    kind: ClassVar[str] = "prune_channels"
    title: ClassVar[str] = "Prune channels"
    shelf: ClassVar[str] = "Prune"
    summary: ClassVar[str] = (
        "Removes whole channels from a layer and from every layer that is coupled to it. The model gets "
        "smaller and faster everywhere; accuracy usually needs a recovery afterwards."
    )
    strength: ClassVar[str] = "amount"
    amounts: ClassVar[tuple[float, ...]] = (0.25, 0.5, 0.75)

    amount: float = option(0.5, "Part of the channels that goes.", low=0.0, high=0.95, step=0.01)
    importance: str = option("magnitude", "What decides which channels matter.", choices=tuple(CRITERIA))
    ranking: str = option(
        "local",
        "Local takes the same part of every group; global ranks the channels of all groups together.",
        choices=("local", "global"),
        more=True,
    )
    round_to: int = option(
        1,
        "The number of channels that stay is a multiple of this; kernels like 4 or 8.",
        unit="channels",
        low=1,
        high=64,
    )

    def build(self, state: State, context: Context) -> State:
        self.chosen(context.layers(state.model))  # a name that matches nothing is an error before any work
        groups = reached(context.groups(state.model), self.layers, self.exclude)
        criterion = CRITERIA[self.importance]
        barred = {group.name: group.protected or criterion.unfit(state.model, group) for group in groups}
        barred = {name: why for name, why in barred.items() if why}
        free = [group for group in groups if group.name not in barred]
        if not free:
            why = "; ".join(f"{name}: {why}" for name, why in barred.items()) or "they produce no channels"
            raise WorkbenchError(f"{self.title}: nothing in {self.layers} can be cut. {why}")
        scores = rank_units(criterion, state.model, free, context.within(0.0, 0.5))
        together = self.ranking == "global"
        remove = least_important(scores, self.amount, together, self.round_to, criterion.comparable)
        notes = tuple(f"{name}: not cut, {why}" for name, why in barred.items())
        if not remove:
            return State(state.model, state.codings, state.pruned, state.notes + notes)
        context.progress.update(0.5, "checking that the smaller model computes the same")
        verify(state.model, free, remove, context.example())
        model = cut(state.model, free, remove)
        codings = dict(state.codings)
        for (parameter, dim), keep in kept_indices(state.model, free, remove).items():
            if parameter in codings:
                codings[parameter] = codings[parameter].select(dim, keep)
        return State(model, codings, state.pruned, state.notes + notes)
