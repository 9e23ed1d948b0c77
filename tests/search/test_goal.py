"""Goals: what is wanted, as plain values that come back from JSON, refused in one line where they make no sense."""

from __future__ import annotations

import json

import pytest

import workbench as wb
from workbench.search.goal import Goal, quantities, quantity_title


def test_a_goal_comes_back_from_json():
    goal = wb.Goal(lose=1, least=("bytes", "latency:onnxruntime"), seconds=60, most={"macs": 1e6, "worst class": 3})
    assert Goal.read(json.loads(json.dumps(goal.facts()))) == goal
    assert goal.objectives == ("bytes", "latency:onnxruntime")
    assert goal.limits == {"macs": 1e6, "worst class": 3.0}
    assert goal.runtimes == ("onnxruntime",)
    assert goal.counted == ("bytes", "macs")
    assert hash(goal) == hash(Goal.read(goal.facts()))


def test_points_are_the_metrics():
    assert Goal(lose=0.5).tolerance("%") == pytest.approx(0.005)
    assert Goal(lose=0.5).tolerance("") == 0.5


def test_a_goal_is_a_sentence():
    words = Goal(lose=0.5, least="bytes", seconds=600, most={"memory": 1e6}).words
    assert words == "lose at most 0.5 points, make the file least, peak memory at most 1e+06, in 600 s"
    assert all(quantity_title(name) for name in (*quantities(), "worst class"))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"lose": -1}, "lose is a number of at least 0, not -1"),
        ({"lose": float("nan")}, "lose is a number"),
        ({"lose": True}, "lose is a number"),
        ({"lose": "half"}, "lose is a number"),
        ({"seconds": float("inf")}, "seconds is a number"),
        ({"least": "beauty"}, "least names 'beauty'"),
        ({"least": ()}, "least is one of"),
        ({"least": 3}, "least is one of"),
        ({"least": "worst class"}, "least names 'worst class'"),
        ({"least": "latency:abacus"}, "least names 'latency:abacus'"),
        ({"most": {"beauty": 1}}, "most names 'beauty'"),
        ({"most": {"bytes": "many"}}, "most bytes is a number"),
        ({"most": 3}, "most is a mapping"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(values, said):
    with pytest.raises(wb.WorkbenchError, match=said) as caught:
        wb.Goal(**values)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "facts",
    [None, {}, {"format": "workbench goal", "version": 2}, {"format": "workbench goal", "version": 1, "speed": 3}],
)
def test_what_is_no_goal_is_refused(facts):
    with pytest.raises(wb.WorkbenchError):
        Goal.read(facts)
