"""Structured pruning: whole channels go, with everything that is coupled to them.

Li et al.: "Pruning Filters for Efficient ConvNets", 2017; coupling as in Fang et al.: "DepGraph: Towards Any
Structural Pruning", 2023, but followed channel by channel instead of layer by layer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, Self

from workbench.errors import within
from workbench.registry import register
from workbench.steps.context import Context
from workbench.steps.option import option
from workbench.steps.prune.amounts import own_amounts, refuse_unmatched
from workbench.steps.prune.budget import BUDGETS, RANKINGS, units_to_go
from workbench.steps.prune.importance import CRITERIA, rank_units
from workbench.steps.prune.units import free, reached, rewritten, uncoupled_notes, without
from workbench.steps.state import State
from workbench.steps.step import Axes, GraphStep, Need, Stage

MOST = 0.95
read_own = partial(own_amounts, high=MOST, counts="channels")


@register
@dataclass(frozen=True, kw_only=True)
class PruneChannels(GraphStep):
    """Removes whole channels; the model is really smaller and faster afterwards."""

    kind: ClassVar[str] = "prune_channels"
    title: ClassVar[str] = "Prune channels"
    also: ClassVar[str] = "structured filters width torch-pruning"
    shelf: ClassVar[str] = "Prune"
    position: ClassVar[int] = 2
    stage: ClassVar[Stage] = Stage.PRUNE
    searched: ClassVar[bool] = True
    axes: ClassVar[Axes] = {"ranking": ("local", "worth")}
    summary: ClassVar[str] = (
        "Removes whole channels from a layer and from every layer that is coupled to it. The model gets "
        "smaller and faster everywhere; accuracy usually needs a recovery afterwards."
    )
    strength: ClassVar[str] = "amount"
    amounts: ClassVar[tuple[float, ...]] = (0.25, 0.5, 0.75)

    amount: float = option(0.5, "Part of the budget that goes.", low=0.0, high=MOST, step=0.01)
    budget: str = option(
        "channels",
        "Of what the amount is a part: of the channels of these layers, or of the parameters (params) or "
        "multiply-accumulates (macs) of the whole model, which are met to within one channel.",
        choices=BUDGETS,
    )
    by_layer: str = option(
        "",
        "Layers with a part, or a number, of their channels of their own: layer2.*=0.5, layer3.0.conv1=12.",
        more=True,
        reads=read_own,
    )
    importance: str = option("magnitude", "What decides which channels matter.", choices=CRITERIA)
    ranking: str = option(
        "local",
        "Local takes the same part of every group; global ranks the channels of all groups together; worth does so by "
        "their importance for what they cost in the budget, and takes more from layers that are dear.",
        choices=RANKINGS,
        more=True,
    )
    round_to: int = option(
        1,
        "The number of channels that stay is a multiple of this; kernels like 4 or 8.",
        unit="channels",
        low=1,
        high=64,
    )

    def with_strength(self, layers: str, strength: float) -> Self:
        # A scan asks for a part of the layers it names, not of the whole model.
        return replace(super().with_strength(layers, strength), budget="channels", by_layer="")

    def needs(self) -> frozenset[Need]:
        return super().needs() | {Need.GRAPH}

    def build(self, state: State, context: Context) -> State:
        chosen = self.chosen(context.layers(state.model))  # a name that matches nothing is an error before any work
        model, every = context.channels(state.model)
        groups = reached(every, self.layers, self.exclude)
        criterion = CRITERIA[self.importance]
        with within(self.title):
            groups, notes = free(groups, model, self.layers, criterion)
        own = read_own(self.by_layer)
        refuse_unmatched(own, [name for group in groups for name in (group.name, *group.layers)])
        scores = rank_units(criterion, model, groups, context.within(0.0, 0.5))
        remove = units_to_go(
            model,
            groups,
            scores,
            context.example(),
            self.amount,
            budget=self.budget,
            own=own,
            ranking=self.ranking,
            round_to=self.round_to,
            comparable=criterion.comparable,
        )
        smaller = without(state, model, groups, remove, context.within(0.5, 1.0)) if remove else state
        changed = rewritten(state.model, model) if remove else ()
        return smaller.with_notes(*notes, *changed, *uncoupled_notes(every, chosen))
