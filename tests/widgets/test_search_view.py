"""The panel's search: the sentence is the goal, what is found fills the board, and each can be taken over."""

from __future__ import annotations

import re
from dataclasses import replace
from threading import RLock

import pytest

import workbench as wb
from tests.charts.numbers_to_draw import HOSTILE
from widgets.views.search import SearchView
from widgets.views.trade_off import TradeOff
from workbench.measure import Score
from workbench.search.planner import Candidate, Findings

STEPS = ((wb.Quantize(bits=8),), (wb.Prune(amount=0.3), wb.Quantize(bits=4)), (wb.Quantize(bits=2),))


def scored(change: float, n: int = 400) -> Score:
    value = 0.9 + change
    return Score(value, value, value, n, 400, change, change, change, population_low=change, population_high=change)


def candidates() -> tuple[Candidate, ...]:
    verdicts = (("meets", -0.001, 5000.0), ("meets", -0.004, 3000.0), ("fails", -0.02, 1500.0))
    return tuple(
        Candidate(number, steps, "sampler", verdict, scored(change), {"bytes": size}, knobs={"depth": change})
        for number, (steps, (verdict, change, size)) in enumerate(zip(STEPS, verdicts, strict=True), 1)
    )


@pytest.fixture
def shown(session):
    """A view, the session, and findings of a search that still goes on."""
    seen = []
    view = SearchView(session, RLock(), lambda: seen.append("plan"))
    growing = Findings(
        wb.Goal(0.5, "bytes", 60), scored(0.0), candidates(), seen=400, before={"bytes": 18000.0}, phase=HOSTILE
    )
    yield view, session, growing, seen
    view.close()


def test_the_sentence_is_the_goal(shown, monkeypatch):
    view, session, _, _ = shown
    view.lose.value, view.least.value, view.minutes.value = 1.5, "macs", 2.0
    assert view.goal() == wb.Goal(lose=1.5, least="macs", seconds=120.0)
    assert "Tries recipes" in view.words.value
    asked = []
    monkeypatch.setattr(type(session), "search", lambda self, goal, progress=None: asked.append(goal))
    view.search.click()
    assert asked == [view.goal()]
    assert session.error == ""


def test_points_appear_while_it_runs(shown):
    view, session, growing, _ = shown
    session.findings = replace(growing, candidates=growing.candidates[:1])
    view._due = 0.0
    session.findings = growing
    assert view.chart.source.data["role"] == ["baseline", "too much lost", "found", "best"]
    assert [number for _, number in view.list.options] == [2, 1], "what meets the goal, the cheapest first"
    assert view.list.value == 2, "the best is chosen until somebody picks another"
    assert "6.00 × less" in view.words.value
    assert HOSTILE not in view.words.value
    assert "meets the goal" in view.about.value
    assert "wb.Prune(amount=0.3)" in re.sub("<[^>]*>", "", view.about.value), "in colours"


def test_a_point_is_looked_at_taken_over_and_edited(shown):
    view, session, growing, seen = shown
    session.findings = growing
    view._tap(1)
    assert view.list.value == 3
    assert "does not meet the goal" in view.about.value
    view.list.value = 1
    view.plan.click()
    assert session.plan == STEPS[0]
    assert seen == ["plan"]
    view.take.click()
    assert session.error == ""
    assert session.recipe.steps == STEPS[0]


def test_at_the_end_the_front_is_shown_with_its_honesty(shown):
    view, session, growing, _ = shown
    ended = tuple(replace(one, final=one.score) if one.verdict == "meets" else one for one in growing.candidates)
    session.findings = replace(
        growing, candidates=ended, front=(2, 1), winner=2, test=scored(-0.003), compared=2, done=True, phase="done"
    )
    assert [number for _, number in view.list.options] == [2, 1]
    assert "on test, scored once" in view.words.value
    assert "2 of them were compared on all 400" in view.words.value
    assert "on all of validation" in view.about.value
    assert view.fold.layout.display == "none", "three candidates say nothing of knobs"


def test_nothing_found_is_said(shown):
    view, session, growing, _ = shown
    session.findings = replace(growing, candidates=growing.candidates[2:], done=True)
    assert "Nothing meets the goal" in view.words.value
    assert not view.list.options
    assert view.take.disabled
    session.findings = None
    assert view.found.layout.display == "none"


def test_the_trade_off_board_shows_what_was_found(shown):
    _, session, growing, _ = shown
    board = TradeOff(session, RLock())
    session.measure()
    session.findings = growing
    assert board.chart.source.data["role"].count("found") == 2
    place = board.chart.source.data["number"].index(2)
    board._go(place)
    assert session.plan == STEPS[1]
    assert session.history.at == 0
    board.close()
