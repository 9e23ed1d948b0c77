"""One choice for each of many parts, so that losses add up to least under a limit of cost, exactly.

The multiple-choice knapsack: Kellerer, Pferschy, Pisinger: "Knapsack Problems", 2004, ch. 11.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from workbench.errors import WorkbenchError

TIE = 1e-9  # of a loss: what the spread of costs counts beside losses


def choose(parts: Sequence[Sequence[tuple[float, float]]], limit: float) -> list[int]:
    """Return for each part the number of the choice taken.

    Of choices with equal losses the dearer one is taken, since that is the milder.

    Args:
        parts: For each part its choices, at least one, as (loss, cost).
        limit: What all parts may cost together.

    Raises:
        WorkbenchError: Even the cheapest choice of every part costs more; it says how much.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp  # slow to import

    losses, costs = np.array([choice for part in parts for choice in part], dtype=float).T
    least = sum(min(cost for _, cost in part) for part in parts)
    if least > limit:
        raise WorkbenchError(f"the budget is {limit:,.0f}; with the strongest choice of every part it is {least:,.0f}")
    starts = np.cumsum([0, *map(len, parts)])
    owners = np.zeros((len(parts), len(costs)))
    for number, start in enumerate(starts[:-1]):
        owners[number, start : starts[number + 1]] = 1.0
    spread = max(float(np.ptp(costs)), 1.0)  # numbers near one suit the solver
    solution = milp(
        losses - TIE * costs / spread,
        integrality=np.ones(len(costs)),
        bounds=Bounds(0, 1),
        constraints=[LinearConstraint(owners, 1, 1), LinearConstraint(costs[None] / spread, ub=limit / spread)],
    )
    if solution.x is None:
        raise WorkbenchError(f"no choice was found within the budget ({solution.message})")
    return [int(np.argmax(solution.x[start:end])) for start, end in pairwise(starts)]
