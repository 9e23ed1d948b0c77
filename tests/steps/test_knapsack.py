"""One choice for each part: the least loss within the budget, against trying all."""

from itertools import product

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.steps.knapsack import choose


@pytest.mark.parametrize("seed", range(5))
def test_no_other_choice_within_the_budget_loses_less(seed):
    drawn = np.random.default_rng(seed)
    parts = [[(0.0, 10.0), *zip(drawn.random(3), drawn.random(3) * 10, strict=True)] for _ in range(4)]
    limit = 22.0
    taken = choose(parts, limit)
    every = [
        (sum(loss for loss, _ in choice), sum(cost for _, cost in choice))
        for choice in product(*parts)
    ]  # fmt: skip
    loss, cost = (sum(part[number][place] for part, number in zip(parts, taken, strict=True)) for place in (0, 1))
    assert cost <= limit
    assert loss == pytest.approx(min(loss for loss, cost in every if cost <= limit), abs=1e-6)


def test_what_no_choice_meets_is_refused_with_what_there_is():
    with pytest.raises(WorkbenchError, match=r"the budget is 3; with the strongest choice of every part it is 5"):
        choose([[(0.0, 9.0), (1.0, 2.0)], [(0.0, 3.0)]], 3.0)
