"""What a contest ranks: channels of coupled groups, or single weights; and the step that follows a ranking."""

from __future__ import annotations

import glob
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.model.layers import choose, first_names, globs
from workbench.steps import Context, Prune, PruneChannels, State, Step
from workbench.steps.prune.importance import CRITERIA, WEIGHT_CRITERIA, judged_weights, rank_units, rank_weights
from workbench.steps.prune.units import free, reached


@dataclass(frozen=True)
class Ranked:
    """The same units for every criterion.

    Attributes:
        parts: Groups or weights, and how many units each has.
        rank: Returns the importance of all units by a criterion's kind; raises WorkbenchError where it has nothing to
            say of some.
        step: Returns the step that takes an amount by a criterion's kind.
    """

    parts: tuple[tuple[str, int], ...]
    rank: Callable[[str, Context], Mapping[str, Tensor]]
    step: Callable[[str, float], Step]


def ranked_channels(state: State, context: Context, layers: str, exclude: str, ranking: str) -> Ranked:
    """Return the channels of the groups that `PruneChannels` reaches with these layers and may cut."""
    choose(context.layers(state.model), layers, globs(exclude))  # a name that matches nothing is an error
    model, every = context.channels(state.model)
    groups, _ = free(reached(every, layers, exclude), model, layers)

    def rank(kind: str, share: Context) -> Mapping[str, Tensor]:
        reasons = {group.name: CRITERIA[kind].unfit(model, group) for group in groups}
        if wrong := [f"{name}: {why}" for name, why in reasons.items() if why]:
            raise WorkbenchError("; ".join(wrong))
        return rank_units(CRITERIA[kind], model, groups, share)

    def step(kind: str, amount: float) -> Step:
        return PruneChannels(layers=layers, exclude=exclude, amount=amount, importance=kind, ranking=ranking)

    return Ranked(tuple((group.name, len(group.units)) for group in groups), rank, step)


def ranked_weights(
    state: State, context: Context, layers: str, exclude: str, ranking: str, kinds: Sequence[str]
) -> Ranked:
    """Return the weights of the chosen layers, with "*" of those that every criterion can judge."""
    chosen = first_names(state.model, choose(context.layers(state.model), layers, globs(exclude)))
    if layers == "*":  # the same weights for all: a table of places would keep some criteria out of every contest
        for kind in kinds:
            chosen, _ = judged_weights(WEIGHT_CRITERIA[kind], state.model, chosen)
    names = list(chosen)
    sizes = tuple((name, state.model.get_parameter(name).numel()) for name in names)
    together = ", ".join(glob.escape(layer.name) for layer in chosen.values())

    def rank(kind: str, share: Context) -> Mapping[str, Tensor]:
        return dict(rank_weights(WEIGHT_CRITERIA[kind], state.model, names, share))

    def step(kind: str, amount: float) -> Step:
        return Prune(layers=together, amount=amount, importance=kind, ranking=ranking)

    return Ranked(sizes, rank, step)
