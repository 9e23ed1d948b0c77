"""What single drops add up to is a guess; what is suggested was scored together."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.search.test_budget import table
from workbench.errors import WorkbenchError
from workbench.measure import Score
from workbench.search import joint
from workbench.search.joint import Proposal, propose
from workbench.steps import FineTune, Prune, Quantize


def scored(drop: float, low: float | None = None, high: float | None = None) -> Score:
    ends = (-drop if high is None else -high, -drop if low is None else -low)
    return Score(0.9 - drop, 0.9 - drop, 0.9 - drop, 10, 10, -drop, *ends)


class Nobody:
    """Stands in for the context of trials, where scoring is replaced."""

    class context:  # noqa: N801  # a field
        class progress:  # noqa: N801
            @staticmethod
            def update(*_: object) -> None:
                pass


def amounts(steps) -> dict[str, float]:
    return {name: step.amount for step in steps for name in step.layers.split(", ")} if steps else {}


def proposed(monkeypatch, found, tolerance, cost):
    """Return what is proposed where `cost` says what strengths cost together, and all that was scored."""
    asked = []

    def score_of(_, steps, *__):
        asked.append(steps)
        return scored(cost(steps))

    monkeypatch.setattr(joint, "score_of", score_of)
    monkeypatch.setattr(joint, "budget_steps", lambda _, strengths: tuple(strengths.items()))
    return propose(Nobody, found, tolerance), asked


FREE = {part: {0.3: 0.0, 0.5: 0.0, 0.9: 0.0} for part in "abc"}


def test_what_holds_together_is_taken_at_once(monkeypatch):
    found, asked = proposed(monkeypatch, table(Prune(), FREE), 0.005, lambda _: 0.004)
    assert found.strengths == dict.fromkeys("abc", 0.9)
    assert (found.tried, len(asked)) == (1, 1)
    assert (found.expected, found.drop) == (0.0, pytest.approx(0.004))


def test_parts_that_cost_nothing_alone_and_much_together_are_made_milder(monkeypatch):
    found, asked = proposed(
        monkeypatch, table(Prune(), FREE), 0.005, lambda steps: 0.004 * sum(s > 0.4 for _, s in steps)
    )
    assert found.strengths == {"a": 0.5, "b": 0.3, "c": 0.3}
    assert found.drop <= 0.005
    assert found.tried == len(asked) <= 6


def test_what_costs_most_alone_is_taken_back_first(monkeypatch):
    drops = {"a": {0.3: -0.001, 0.5: -0.001}, "b": {0.3: 0.0, 0.5: -0.003}}
    found, _ = proposed(monkeypatch, table(Prune(), drops), 0.005, lambda steps: 0.1 * (dict(steps)["b"] > 0.4))
    assert found.strengths == {"a": 0.5, "b": 0.3}
    assert found.expected == pytest.approx(0.001)


def test_the_worse_end_of_the_interval_decides(monkeypatch):
    monkeypatch.setattr(joint, "budget_steps", lambda _, strengths: tuple(strengths.items()))
    monkeypatch.setattr(joint, "score_of", lambda _, steps, *__: scored(0.003, 0.001, 0.003 + 0.001 * len(steps)))
    assert len(propose(Nobody, table(Prune(), FREE), 0.005).strengths) == 2


def test_nothing_is_proposed_where_nothing_holds(monkeypatch):
    found, _ = proposed(monkeypatch, table(Prune(), FREE), 0.005, lambda _: 0.1)
    assert (found.steps, found.strengths, found.score) == ((), {}, None)
    assert list(found) == []
    assert "nothing is within" in found.words
    found, asked = proposed(monkeypatch, table(Prune(), {"a": {0.3: -0.5}}), 0.005, lambda _: 0.1)
    assert (found.steps, asked) == ((), [])
    with pytest.raises(WorkbenchError, match="at least 0"):
        proposed(monkeypatch, table(Prune(), FREE), -1, lambda _: 0.1)


def test_fewer_bits_are_taken_back_to_more(monkeypatch):
    drops = {"a": {8: 0.0, 4: 0.0, 2: 0.0}, "b": {8: 0.0, 4: 0.0, 2: 0.0}}
    found, _ = proposed(monkeypatch, table(Quantize(), drops), 0.01, lambda steps: 0.1 * any(s < 4 for _, s in steps))
    assert found.strengths == {"a": 4, "b": 4}


def test_both_numbers_are_told():
    made = Proposal({"a": 0.5}, (Prune(),), 0.005, scored(0.0042, 0.0025, 0.006))
    assert made.words == "expected −0.50 points from single drops, measured together −0.42 points (all 10 samples)"
    part = replace(made, score=replace(made.score, n=5))
    assert part.words.endswith("measured together −0.42 points ([−0.60, −0.25])")
    later = replace(made, lost=0.002)
    assert later.drop == pytest.approx(0.0022)
    loss = replace(made, score=replace(made.score, unit="", higher_is_better=False, change=0.3), expected=0.2)
    assert loss.words.startswith("expected +0.2 from single drops, measured together +0.3")


def test_a_session_keeps_what_it_suggests(session):
    before = session.history
    found = session.suggest(Prune(), 0.01)
    assert session.history == before
    assert found.steps
    assert found.drop_interval[1] <= 0.01 + 1e-9
    measured = session.extend(found)
    assert -measured.score.change <= 0.01 + 1e-9
    again = session.suggest(session.table, 0.01)
    assert again.strengths == found.strengths, "a scan stands for the state that it was of"
    with pytest.raises(WorkbenchError, match="no strength"):
        session.suggest(FineTune(), 0.01)


def test_an_allocation_is_scored_together(session):
    limit = session.baseline.bytes.total // 3
    found = session.allocate(Quantize(), (8, 4, 2), bytes=limit, tolerance=0.05)
    assert found.score == session.extend(found).score
    assert "measured together" in found.words
