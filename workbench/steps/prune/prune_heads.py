"""Attention heads go, with their queries, keys, values and what reads them.

Michel, Levy, Neubig: "Are Sixteen Heads Really Better than One?", 2019, whose criterion is `taylor` here; Voita et al.:
"Analyzing Multi-Head Self-Attention: Specialized Heads Do the Heavy Lifting, the Rest Can Be Pruned", 2019.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, Self

from workbench.errors import WorkbenchError, within
from workbench.registry import register
from workbench.steps.context import Context
from workbench.steps.option import option
from workbench.steps.prune.amounts import own_amounts, refuse_unmatched
from workbench.steps.prune.budget import RANKINGS, units_to_go
from workbench.steps.prune.importance import CRITERIA, rank_units
from workbench.steps.prune.units import free, reached, without
from workbench.steps.state import State
from workbench.steps.step import GraphStep, Need, Stage

MOST = 0.95
read_own = partial(own_amounts, high=MOST, counts="channels")


@register
@dataclass(frozen=True, kw_only=True)
class PruneHeads(GraphStep):
    """Removes attention heads; the model is really smaller and faster afterwards."""

    kind: ClassVar[str] = "prune_heads"
    title: ClassVar[str] = "Prune attention heads"
    also: ClassVar[str] = "attention structured"
    stage: ClassVar[Stage] = Stage.PRUNE
    summary: ClassVar[str] = (
        "Removes whole attention heads: their queries, keys and values, and what reads them. At least one stays in "
        "every layer. The width of the layers between is for channel pruning."
    )
    shelf: ClassVar[str] = "Prune"
    position: ClassVar[int] = 4
    strength: ClassVar[str] = "amount"
    amounts: ClassVar[tuple[float, ...]] = (0.25, 0.5, 0.75)
    scans: ClassVar[str] = "layers"

    amount: float = option(0.25, "Part of the budget that goes.", low=0.0, high=MOST, step=0.01)
    budget: str = option(
        "heads",
        "Of what the amount is a part: of the heads of these layers, or of the parameters (params) or "
        "multiply-accumulates (macs) of the whole model, which are met to within one head.",
        choices=("heads", "params", "macs"),
    )
    by_layer: str = option(
        "",
        "Layers with a part, or a number, of their heads of their own: blocks.0.*=0.5, blocks.1.*=2.",
        more=True,
        reads=read_own,
    )
    importance: str = option("taylor", "What decides which heads matter.", choices=CRITERIA)
    ranking: str = option(
        "global",
        "Local takes the same part of every attention; global ranks the heads of all together; worth does so by "
        "their importance for what they cost in the budget, and takes more from layers that are dear.",
        choices=RANKINGS,
    )

    def with_strength(self, layers: str, strength: float) -> Self:
        # A scan asks for a part of the layers it names, not of the whole model.
        return replace(super().with_strength(layers, strength), budget="heads", by_layer="")

    def needs(self) -> frozenset[Need]:
        return super().needs() | {Need.GRAPH}

    def build(self, state: State, context: Context) -> State:
        self.chosen(context.layers(state.model))  # a name that matches nothing is an error before any work
        model, every = context.heads(state.model)
        criterion = CRITERIA[self.importance]
        with within(self.title):
            if not every:
                raise WorkbenchError("the model has no attention heads that could be found in its graph")
            groups, notes = free(reached(every, self.layers, self.exclude), model, self.layers, criterion)
        own = read_own(self.by_layer)
        refuse_unmatched(own, [name for group in groups for name in (group.name, *group.layers)])
        remove = units_to_go(
            model,
            groups,
            rank_units(criterion, model, groups, context.within(0.0, 0.5)),
            context.example(),
            self.amount,
            budget="channels" if self.budget == "heads" else self.budget,
            own=own,
            ranking=self.ranking,
            comparable=criterion.comparable,
        )
        smaller = without(state, model, groups, remove, context.within(0.5, 1.0)) if remove else state
        return smaller.with_notes(*notes)
