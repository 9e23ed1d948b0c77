"""How many units of which group go, so that a budget of units, parameters or multiply-accumulates is met.

A budget is met greedily: units go in an order, by importance alone or by importance for what they cost. The latter is
Dantzig's rule for the knapsack ("Discrete-Variable Extremum Problems", 1957), as in Shen et al.: "Structural Pruning
via Latency-Saliency Knapsack" (HALP), 2022. It can empty a dear layer, and lost more where the two were compared, so it
is a choice. What is left of the cost follows from the shapes; bisection finds the first place that is enough.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import accumulate

from torch import Tensor, nn

from workbench.errors import WorkbenchError
from workbench.graph import Group, cut
from workbench.graph.costs import Costs, macs_of_parameters
from workbench.steps.prune.amounts import Own, own_amount
from workbench.steps.prune.importance.ranking import alike, least_important, weakest

BUDGETS = ("channels", "params", "macs")
RANKINGS = ("local", "global", "worth")
WORDS = {"channels": "units", "params": "parameters", "macs": "multiply-accumulates"}
Scores = Mapping[str, Tensor]


def units_to_go(
    model: nn.Module,
    groups: Sequence[Group],
    scores: Scores,
    example: tuple[Tensor, ...],
    amount: float,
    *,
    budget: str = "channels",
    own: Own = (),
    ranking: str = "local",
    round_to: int = 1,
    comparable: bool = False,
) -> dict[str, list[int]]:
    """Return the numbers of the units that go by group, ascending; groups that lose none are left out.

    Args:
        model: What is cut.
        groups: What may go.
        scores: Importance of their units, [units].
        example: Inputs.
        amount: Part of the units, or of the whole model's parameters or multiply-accumulates, that goes.
        budget: Of what `amount` is a part, one of `BUDGETS`.
        own: Parts, or as whole numbers counts, of the units of single groups, whatever the budget says of the others.
        ranking: Of groups without an amount of their own, one of `RANKINGS`: take the same part of each; rank the units
            of all; or rank them by their importance for what they cost.
        round_to: What stays of a group that loses units is a multiple of this.
        comparable: Whether scores of different groups are in one unit of measure.

    Raises:
        WorkbenchError: So much cannot go.
    """
    own_parts = {group.name: own_amount(own, (group.name, *group.layers)) for group in groups}
    own_counts = {
        name: part if isinstance(part, int) else int(part * len(scores[name]))
        for name, part in own_parts.items()
        if part is not None
    }
    fixed = weakest({name: scores[name] for name in own_counts}, own_counts, round_to)
    rest = {name: score for name, score in scores.items() if name not in own_counts}
    if budget == "channels":
        return least_important(rest, amount, ranking != "local", round_to, comparable) | fixed
    costs = costs_of(budget, model, groups, scores, example)
    drop = {name: len(units) for name, units in fixed.items()}
    target = (1 - amount) * costs.after({})
    counts = counts_for(costs, target, rest, drop, ranking, round_to, comparable, WORDS[budget])
    return weakest(scores, {name: counts.get(name, 0) for name in scores}, 1)


def costs_of(
    budget: str, model: nn.Module, groups: Sequence[Group], scores: Scores, example: tuple[Tensor, ...]
) -> Costs:
    """Return what the model costs once the least important units of groups are gone.

    Args:
        budget: One of `BUDGETS`; "channels" counts the units of these groups, the others the whole model.
        model: What is cut.
        groups: What may go.
        scores: Importance of their units.
        example: Inputs.
    """
    orders = {group.name: scores[group.name].argsort(stable=True).tolist() for group in groups}
    if budget == "channels":
        return Costs(model, groups, orders, {}, {group.name: 1.0 for group in groups})
    if budget == "params":
        return Costs(model, groups, orders, dict.fromkeys((name for name, _ in model.named_parameters()), 1.0))
    macs, rest = macs_of_parameters(model, example)
    prices = {name: count / model.get_parameter(name).numel() for name, count in macs.items()}
    # Attention multiplies heads with each other and with no parameter; what one takes with it is found by cutting it.
    extra = {}
    for group in groups:
        if group.heads and len(group.units) > 1:
            _, left = macs_of_parameters(cut(model, [group], {group.name: [0]}), example)
            extra[group.name] = rest - left
    fixed = rest - sum(extra[group.name] * len(group.units) for group in groups if group.name in extra)
    return Costs(model, groups, orders, prices, extra, fixed)


def counts_for(
    costs: Costs,
    target: float,
    scores: Scores,
    drop: Mapping[str, int],
    ranking: str,
    round_to: int,
    comparable: bool = False,
    what: str = "cost",
) -> dict[str, int]:
    """Return how many units of each group go, so that at most `target` is left of the cost.

    One block of units less, the last that was taken, would leave more than the target.

    Args:
        costs: What is left after so many units.
        target: What may be left.
        scores: Importance of the units of every group that may give some, [units].
        drop: What goes of other groups in any case.
        ranking: One of `RANKINGS`, as in `units_to_go`.
        round_to: Units of a block; what stays of a group that loses some is a multiple of it.
        comparable: Whether scores of different groups are in one unit of measure.
        what: The cost's name, for a message.

    Raises:
        WorkbenchError: Even if only one unit of each group stays, too much is left.
    """
    blocks = _blocks(costs, scores, drop, ranking, round_to, comparable)
    # From the cost of nothing gone on; `accumulate` makes all prefixes, each a small dict.
    prefixes = list(accumulate(blocks, lambda gone, block: {**gone, **block}, initial=dict(drop)))
    # Sums of floats are not exact.
    place = bisect_left(prefixes, -target * (1 + 1e-9), key=lambda gone: -costs.after(gone))
    if place == len(prefixes):
        whole, least = costs.after({}), costs.after(prefixes[-1])
        raise WorkbenchError(
            f"at most {1 - least / whole:.1%} of the {what} can go with these layers and settings, "
            f"not {1 - target / whole:.1%}"
        )
    return dict.fromkeys(scores, 0) | prefixes[place]


def _blocks(
    costs: Costs, scores: Scores, drop: Mapping[str, int], ranking: str, round_to: int, comparable: bool
) -> list[dict[str, int]]:
    """Return in the order in which blocks go how many units of a group are gone with each."""
    whole, blocks = costs.after(drop), []
    for name, score in alike(scores, comparable).items():
        ordered, start, key = score.double().sort(stable=True).values, 0, 0.0
        dear = ranking == "worth" and len(score) > 1
        cost = max(whole - costs.after({**drop, name: 1}), 1e-12) if dear else 1.0
        while len(score) - start > round_to:
            # What stays is a multiple after the first block already.
            end = start + ((len(score) - start) % round_to or round_to)
            # A mean of equal scores may come out smaller than the one before by a rounding.
            mean = float(ordered[start:end].mean()) / cost
            key = end / len(score) if ranking == "local" else max(key, mean)
            blocks.append((key, name, end))
            start = end
    return [{name: end} for _, name, end in sorted(blocks, key=lambda block: block[0])]
