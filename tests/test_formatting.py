"""What people read of a score and a latency, each state of not knowing included."""

import math
from dataclasses import replace

import pytest

from workbench import formatting
from workbench.charts import curves, heat_map
from workbench.charts.drop import drop_of
from workbench.charts.latency import latency_chart, latency_data
from workbench.charts.trade_off import Candidate, trade_off_data
from workbench.measure import Latency, Score
from workbench.search.sensitivity import Point, Table
from workbench.steps import Prune

EXACT = Score(0.9, 0.9, 0.9, 400, 400, -0.02, -0.02, -0.02, population_low=-0.04, population_high=-0.003)
SOME = Score(0.9, 0.88, 0.92, 100, 400, -0.02, -0.04, 0.0)
OPEN = Score(0.31, 0.02, math.inf, 100, 400, 0.11, -0.18, math.inf, "error", "", higher_is_better=False)
FAST = Latency("eager", 1.54e-3, 1e-5, 3.3 / 1.54, 2.1, 2.2, "faster", 1, 2, "cpu", 50, 3.3e-3)
UNKNOWN = replace(FAST, verdict="unknown", disturbed=48, reason="the machine is busy, 48 of 50 pairs were disturbed")


def test_a_score_says_how_sure_it_is():
    assert formatting.score(EXACT) == "90.00 % (all 400)"
    assert formatting.score(SOME) == "90.00 % [88, 92] (100 of 400)"
    assert formatting.score(OPEN) == "0.31 (interval not known yet; 100 of 400)"
    assert [formatting.half_width(found) for found in (EXACT, SOME, OPEN)] == ["", "± 2.00", "± not known yet"]


def test_a_change_says_what_it_means_for_other_data():
    assert formatting.change(EXACT) == "−2.00 points, [−4.00, −0.30] points on other data (95 %)"
    assert formatting.change(SOME) == "−2.00 points [−4.00, +0.00]"
    assert formatting.change(OPEN) == "+0.11 (interval not known yet)"
    whole = replace(EXACT, population_low=None, population_high=None)
    assert formatting.change(whole) == "−2.00 points, not known on other data"
    baseline = replace(EXACT, change=0.0, population_low=0.0, population_high=0.0)
    assert formatting.elsewhere(baseline) == ""


def test_an_interval_that_is_not_known_is_drawn_nowhere():
    drop = drop_of(OPEN)
    assert drop.value == 0.11
    assert drop.unclear
    assert math.isnan(drop.low)
    assert math.isnan(drop.high)
    assert not drop_of(EXACT).unclear
    data = trade_off_data([Candidate("a", OPEN, 1.0)])
    assert data["low"] == data["y"] == data["high"]
    table = Table(Prune().facts(), EXACT, ("a",), (0.5,), (Point("a", 0.5, OPEN),))
    assert "not known yet" in heat_map.map_data(table)["words"][0]
    assert curves.line_data(table)["ys"][0][-1] == 0.11


def test_a_latency_stands_beside_the_two_times_of_its_ratio():
    assert formatting.in_pairs(FAST) == "3.30 ms → 1.54 ms, 2.14 × faster [2.10, 2.20]"
    assert formatting.in_pairs(UNKNOWN).endswith("unknown: the machine is busy, 48 of 50 pairs were disturbed")
    assert formatting.in_pairs(replace(FAST, verdict="baseline")) == "1.54 ms"
    slower = replace(FAST, verdict="slower", ratio=0.5, ratio_low=0.45, ratio_high=0.55)
    assert formatting.verdict(slower) == "2.00 × slower [1.82, 2.22]"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(8.53e-6, "8.53 µs"), (85.31e-6, "85.3 µs"), (0.9999e-3, "1.00 ms"), (12.345e-3, "12.3 ms"), (1.5, "1.50 s")],
)
def test_a_time_has_three_digits(seconds, text):
    assert formatting.latency(seconds) == text


def test_a_ratio_that_is_not_known_is_drawn_nowhere():
    data = latency_data({"eager": UNKNOWN, "onnxruntime": FAST})
    assert math.isnan(data["ratio"][0])
    assert data["edge"][0] == 1.0
    assert data["ratio"][1] == FAST.ratio
    assert latency_chart({"eager": UNKNOWN}).figure.x_range.end < 2
