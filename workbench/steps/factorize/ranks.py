"""Which form and rank each layer gets, so that it, or all together, cost no more than wanted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.steps.factorize.parts import Part
from workbench.steps.factorize.splits import Split
from workbench.steps.knapsack import choose

MOST_RANKS = 32  # that are tried of a form: finer steps change little and take long

Cost = Callable[[Part, type[Split], int], float]


@dataclass(frozen=True)
class Choice:
    """One way to write a layer.

    Attributes:
        split: The form.
        rank: Of it.
        error: The part of the layer's energy that is lost, 0 where it was not looked at.
        cost: Of the factors.
    """

    split: type[Split]
    rank: int
    error: float
    cost: float


def candidates(part: Part, cost: Cost, whole: float, round_to: int, second: Tensor | None) -> tuple[Choice, ...]:
    """Return the ways to write a layer that cost less than it does whole, with their errors.

    Args:
        part: The layer.
        cost: Of a form and rank.
        whole: Cost of the layer as it is.
        round_to: Ranks are multiples of this.
        second: Second moments of its inputs, [groups, d, d], None to look at the weight alone.
    """
    choices: list[Choice] = []
    for split in part.splits:
        ranks = [rank for rank in part.ranks(split, round_to) if cost(part, split, rank) < whole]
        ranks = ranks[:: -(-len(ranks) // MOST_RANKS) or 1]
        taken = split(part.weight, part.groups, second) if ranks else None
        choices += [Choice(split, rank, taken.error(rank), cost(part, split, rank)) for rank in ranks if taken]
    return tuple(choices)


def for_share(part: Part, cost: Cost, limit: float, round_to: int) -> list[Choice]:
    """Return for each form the largest rank that costs at most `limit`; forms without one are left out."""
    choices = []
    for split in part.splits:
        ranks = [rank for rank in part.ranks(split, round_to) if cost(part, split, rank) <= limit * (1 + 1e-9)]
        choices += [Choice(split, ranks[-1], 0.0, cost(part, split, ranks[-1]))] if ranks else []
    return choices


def of_rank(part: Part, cost: Cost, rank: int) -> list[Choice]:
    """Return every form with this rank.

    Raises:
        WorkbenchError: The layer has no such rank.
    """
    most = max(split.most(part.shape, part.groups) for split in part.splits)
    if not 1 <= rank <= most:
        raise WorkbenchError(f"{part.layer.name} has ranks 1 to {most}, not {rank}")
    able = [split for split in part.splits if rank <= split.most(part.shape, part.groups)]
    return [Choice(split, rank, 0.0, cost(part, split, rank)) for split in able]


def best(part: Part, choices: Sequence[Choice], second: Tensor | None) -> Choice:
    """Return the choice with the least error."""
    if len(choices) == 1:
        return choices[0]
    return min(choices, key=lambda one: one.split(part.weight, part.groups, second).error(one.rank))


def within_energy(choices: Sequence[Choice], share: float) -> Choice | None:
    """Return the cheapest choice that loses at most this part of the energy, None if none does."""
    good = [choice for choice in choices if choice.error <= share]
    return min(good, key=lambda choice: choice.cost, default=None)


def within_budget(
    choices: Mapping[str, Sequence[Choice]], wholes: Mapping[str, float], limit: float, rest: float, what: str
) -> dict[str, Choice]:
    """Return the choices whose errors add up to least within a budget; layers that stay whole are left out.

    Args:
        choices: Of each layer.
        wholes: What each costs as it is.
        limit: What the whole model may cost.
        rest: What costs as much whatever is chosen.
        what: The cost's name, for a message.

    Raises:
        WorkbenchError: Even the cheapest choices of all cost more.
    """
    names = list(choices)
    total = rest + sum(wholes[name] for name in names)
    least = rest + sum(min([wholes[name], *(one.cost for one in choices[name])]) for name in names)
    if least > limit * (1 + 1e-9):
        raise WorkbenchError(
            f"at most {1 - least / total:.1%} of the {what} can go with these layers and settings, "
            f"not {1 - limit / total:.1%}"
        )
    if not names:
        return {}
    options = [[(0.0, wholes[name]), *((one.error, one.cost) for one in choices[name])] for name in names]
    taken = choose(options, max(limit - rest, least - rest))
    return {name: choices[name][number - 1] for name, number in zip(names, taken, strict=True) if number}
