"""Strengths under a budget: as good as trying everything, and kept to the byte."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import WorkbenchError
from workbench.measure import Score
from workbench.search.allocate import allocate, bit_operations_of
from workbench.search.sensitivity import Point, Table
from workbench.steps import Prune, Quantize

STRENGTHS = (8.0, 4.0, 2.0)


def score(change):
    value = 0.9 + change
    return Score(value, value, value, 100, 100, change, change, change)


def table_of(drops):
    """Return a scan whose parts have these drops at `STRENGTHS`, None where a step cannot be done."""
    names = tuple(f"part{number}" for number in range(len(drops)))
    points = tuple(
        Point(name, strength, None if drop is None else score(-drop), reason="" if drop is not None else "no")
        for name, row in zip(names, drops, strict=True)
        for strength, drop in zip(STRENGTHS, row, strict=True)
    )
    return Table(Quantize().facts(), score(0.0), names, STRENGTHS, points)


def by_trying(drops, costs, limit):
    """Return the least sum of drops within the limit, from all choices."""
    rows = []
    for row, price in zip(drops, costs, strict=True):
        options, worst = [(0.0, price * 32)], 0.0
        for strength, drop in zip(STRENGTHS, row, strict=True):
            if drop is not None:
                worst = max(worst, drop)
                options.append((worst, price * strength))
        rows.append(options)
    sums = [(sum(d for d, _ in pick), sum(c for _, c in pick)) for pick in product(*rows)]
    return min((drop for drop, cost in sums if cost <= limit + 1e-6), default=None)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(*[st.one_of(st.none(), st.integers(-5, 100).map(lambda n: n / 500))] * 3), min_size=1, max_size=5
    ),
    st.lists(st.integers(1, 50), min_size=5, max_size=5),
    st.floats(0.05, 1.0),
)
def test_no_choice_within_the_budget_has_a_smaller_drop(drops, costs, part):
    table, costs = table_of(drops), costs[: len(drops)]
    prices = dict(zip(table.targets, costs, strict=True))
    limit = part * 32 * sum(costs)
    wanted = by_trying(drops, costs, limit)

    def cost(target, strength):
        return prices[target] * (32 if strength is None else strength)

    if wanted is None:
        with pytest.raises(WorkbenchError, match="the budget is"):
            allocate(table, cost, limit)
        return
    found = allocate(table, cost, limit)
    assert sum(cost(target, found.get(target)) for target in table.targets) <= limit * (1 + 1e-6)
    total = 0.0
    for target, row in zip(table.targets, drops, strict=True):
        milder = [d for s, d in zip(STRENGTHS, row, strict=True) if d is not None and s >= found.get(target, 99)]
        total += max(milder, default=0.0) if max(milder, default=0.0) > 0 else 0.0
    assert total == pytest.approx(wanted, abs=1e-6)


def test_of_equal_drops_the_milder_one_is_taken():
    found = allocate(table_of([(0.0, 0.0, 0.1)]), lambda _, bits: 32 if bits is None else bits, 10)
    assert found == {"part0": 8.0}


def test_bit_operations_are_for_steps_that_count_bits(session):
    layers = session.layers
    cost = bit_operations_of(Quantize(activations=8), layers)
    first = layers[0]
    assert cost(first.name, 4) == first.macs * 4 * 8
    assert cost(first.name, None) == first.macs * 32 * 8
    with pytest.raises(WorkbenchError, match="counts bits"):
        bit_operations_of(Prune(), layers)


def test_a_session_keeps_a_budget_to_the_byte(session):
    whole = session.baseline.bytes.total
    limit = whole // 3
    steps = session.allocate(Quantize(), (8, 4, 2), bytes=limit, tolerance=0.05)
    assert session.history.at == 0
    assert 0.8 * limit < session.extend(steps).bytes.total <= limit


def test_budgets_that_cannot_be_kept_say_so(session):
    with pytest.raises(WorkbenchError, match="one budget"):
        session.allocate(Quantize())
    with pytest.raises(WorkbenchError, match="strongest choice"):
        session.allocate(Quantize(), (8, 4), bytes=100, tolerance=0.05)
