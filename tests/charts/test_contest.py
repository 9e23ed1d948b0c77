import math

import pytest

from tests.charts.numbers_to_draw import contest
from workbench.charts import theme
from workbench.charts.contest_correlations import agreement_data
from workbench.charts.contest_scores import curve_data, stop_data


def test_the_best_comes_first_and_the_control_is_dashed_and_grey():
    data = curve_data(contest(0.2, 0.5))
    assert data["label"][0] == "Taylor"
    assert data["color"] == [theme.SERIES[0], theme.LINE]
    assert data["dash"] == ["solid", "dashed"]
    assert data["ys"][0] == pytest.approx([2.0, 5.0])
    assert len(data["band"][0]) == len(data["edge"][0]) == 4


def test_what_could_not_rank_is_in_no_chart():
    assert len(stop_data(contest(0.2, 0.5))["x"]) == 4
    assert set(agreement_data(contest(0.2))["x"]) == {"random", "taylor"}


def test_an_unknown_agreement_has_no_colour_of_the_scale():
    data = agreement_data(contest(0.2))
    assert [math.isnan(value) for value in data["value"]] == [False, True, True, False]
    assert data["text"] == ["1.00", "–", "–", "1.00"]


def test_a_contest_that_has_only_begun_draws_no_lines():
    assert curve_data(contest())["label"] == []
