"""Budgets: what a scan suggests, and the steps that give each part its strength."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from workbench.errors import WorkbenchError
from workbench.measure import Score
from workbench.search.budget import budget_steps, suggest
from workbench.search.sensitivity import Point, Table
from workbench.steps import FineTune, Prune, Quantize
from workbench.steps.option import option


def scored(change, higher_is_better=True):
    score = Score("accuracy", "%", 0.9 + change, 0.9, 0.9, change, change, change, 10, 10)
    return replace(score, higher_is_better=higher_is_better)


def table(step, drops, higher_is_better=True):
    """Return the table of a scan with these changes of the score, by part and strength."""
    strengths = tuple(dict.fromkeys(strength for found in drops.values() for strength in found))
    points = tuple(
        Point(
            part, strength, None if change is None else scored(change, higher_is_better), reason="" if change else "no"
        )
        for part, found in drops.items()
        for strength, change in found.items()
    )
    return Table(step.facts(), scored(0.0, higher_is_better), tuple(drops), strengths, points)


def test_the_strongest_within_the_drop_is_suggested():
    found = table(Prune(), {"a": {0.3: -0.001, 0.5: -0.004, 0.9: -0.2}, "b": {0.3: -0.02, 0.5: -0.03, 0.9: -0.3}})
    assert suggest(found, 0.005, together=False) == {"a": 0.5}
    assert suggest(found, 0.05, together=False) == {"a": 0.5, "b": 0.5}
    assert suggest(found, 1.0) == {"a": 0.9, "b": 0.9}


def test_together_the_drops_add_up_to_what_is_tolerated():
    found = table(Prune(), {part: {0.3: -0.001, 0.5: -0.004, 0.9: -0.2} for part in "abc"})
    assert suggest(found, 0.005) == dict.fromkeys("abc", 0.3)
    assert suggest(found, 0.012) == dict.fromkeys("abc", 0.5)
    assert suggest(found, 0.0) == {}
    free = table(Prune(), {"a": {0.3: 0.002, 0.5: 0.0, 0.9: -0.2}})
    assert suggest(free, 0.0) == {"a": 0.5}


def test_drops_count_from_the_state_that_was_scanned():
    found = table(Prune(), {"a": {0.3: -0.051, 0.5: -0.06, 0.9: -0.2}, "b": {0.3: -0.052, 0.5: -0.09, 0.9: -0.2}})
    assert suggest(found, 0.01) == {}
    assert suggest(replace(found, lost=0.05), 0.01) == dict.fromkeys("ab", 0.3)


def test_a_scan_of_a_compressed_state_knows_what_was_lost_before(images, open_session):
    session = open_session(images)
    session.apply(Quantize(bits=2))
    table = session.sensitivity(Prune(layers="conv1"), (0.01,), tolerance=0)
    assert table.lost == -session.current.score.change > 0.05
    assert abs(table.drop(table.points[0])) < 0.05


def test_fewer_bits_are_stronger_and_a_rise_of_a_loss_is_a_drop():
    found = table(Quantize(), {"a": {8: 0.001, 4: 0.004, 2: 0.2}}, higher_is_better=False)
    assert suggest(found, 0.005) == {"a": 4}


def test_nothing_beyond_a_strength_that_costs_too_much_or_is_unknown():
    lucky = table(Prune(), {"a": {0.3: -0.001, 0.5: -0.2, 0.9: -0.001}, "b": {0.3: None, 0.5: -0.001, 0.9: -0.001}})
    assert suggest(lucky, 0.01) == {"a": 0.3}
    with pytest.raises(WorkbenchError, match="at least 0"):
        suggest(lucky, -1)


def test_parts_of_one_strength_share_a_step():
    made = budget_steps(Quantize(symmetric=False), {"a": 4, "b[0]": 3, "c": 4})
    assert [(step.layers, step.bits, step.symmetric) for step in made] == [("a, c", 4, False), ("b[[]0]", 3, False)]
    assert budget_steps(Prune(), {}) == ()
    with pytest.raises(WorkbenchError, match="no strength"):
        budget_steps(FineTune(), {"a": 1})


def test_a_step_that_takes_them_all_is_one_step():
    @dataclass(frozen=True, kw_only=True)
    class Own(Prune):
        by_layer: str = option("", "Amounts of their own.")

    (made,) = budget_steps(Own(), {"a": 1.0, "b": 0.3})
    assert (made.layers, made.by_layer) == ("a, b", "a=1.0000, b=0.3000")
