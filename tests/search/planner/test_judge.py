"""One candidate: scored no longer than it may win, and costed as it is measured."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.search.test_sensitivity import trial_context_of
from workbench.measure import Score, measure
from workbench.search.planner.candidate import dominates
from workbench.search.planner.judge import Rule, judge, loss_interval, verdict_of
from workbench.steps import EntropyCode, Prune, PruneChannels, Quantize
from workbench.steps.recipe import Recipe, run


@pytest.fixture(scope="module")
def root(images):
    return trial_context_of(images)


def scored(change, half, higher=True, n=50):
    return Score(0.9, 0.8, 1.0, n, 100, change, change - half, change + half, higher_is_better=higher)


def test_the_whole_interval_decides():
    assert verdict_of(scored(-0.01, 0.005), 0.02) == "meets"
    assert verdict_of(scored(-0.05, 0.005), 0.02) == "fails"
    assert verdict_of(scored(-0.02, 0.005), 0.02) is None
    assert verdict_of(scored(-0.03, 0.0, n=100), 0.02) == "fails"
    assert loss_interval(scored(0.5, 0.1, higher=False)) == (0.4, 0.6)
    assert verdict_of(scored(0.5, 0.1, higher=False), 0.7) == "meets"


def test_what_surely_fails_is_dropped_at_its_first_look(root):
    hopeless = judge(root, (Prune(amount=0.98), Quantize(bits=2)), Rule(lose=0.01))
    assert (hopeless.verdict, hopeless.outcome.score.n) == ("fails", 48)
    harmless = judge(root, (Quantize(bits=8),), Rule(lose=0.3))
    assert harmless.verdict == "meets"
    assert harmless.outcome.score.n < root.reference.total


def test_what_costs_no_less_than_a_better_one_is_not_scored(root):
    rule = Rule(lose=0.5, beaten=({"bytes": 100.0},))
    judged = judge(root, (Quantize(bits=8),), rule)
    assert (judged.verdict, judged.outcome.score) == ("dominated", None)
    assert judge(root, (Quantize(bits=8),), replace(rule, objectives=())).verdict == "meets"
    assert dominates({"bytes": 1.0, "macs": 2.0}, {"bytes": 1.0, "macs": 3.0}, ("bytes", "macs"))
    assert not dominates({"bytes": 1.0, "macs": 4.0}, {"bytes": 1.0, "macs": 3.0}, ("bytes", "macs"))
    assert not dominates({"bytes": 1.0}, {"bytes": 2.0, "macs": 3.0}, ("bytes", "macs"))


def test_a_broken_limit_fails_whatever_the_score(root):
    judged = judge(root, (Quantize(bits=8),), Rule(lose=0.5, limits={"bytes": 10.0}))
    assert judged.verdict == "fails"
    assert "bytes is" in judged.reason


@pytest.mark.parametrize("steps", [(Prune(amount=0.5), Quantize(bits=4), EntropyCode()), (PruneChannels(amount=0.5),)])
def test_costs_are_those_of_a_measurement(root, steps):
    names = ("bytes", "parameters", "macs", "memory", "energy")
    judged = judge(root, steps, Rule(lose=0.9, counted=names), keep=True)
    built = run(root.context.subject, Recipe(steps))
    measured = measure(built, root.context, root.evaluator, root.reference, {})
    wanted = (measured.bytes.total, measured.params, measured.macs, measured.peak_memory, measured.energy)
    assert judged.costs == pytest.approx(dict(zip(names, wanted, strict=True)))
    kept = dict(judged.state.model.state_dict())
    assert all(kept[name].equal(value) for name, value in built.model.state_dict().items())


def test_what_cannot_be_built_says_why(root):
    judged = judge(root, (Prune(layers="nowhere"),), Rule(lose=0.5))
    assert judged.verdict == "impossible"
    assert "nowhere" in judged.reason
