import math

import pytest
from bokeh.core.properties import value

from tests.charts.numbers_to_draw import HOSTILE, POINTS, score, table
from workbench.charts import theme
from workbench.charts.curves import dot_data, line_data, most_sensitive, other_data
from workbench.charts.drop import drop_of
from workbench.charts.heat_map import map_data, map_limit


def test_a_drop_is_up_for_worse():
    assert drop_of(score(0.90, base=0.95)).value == pytest.approx(5.0)
    assert drop_of(score(0.90, base=0.95, higher=False)).value < 0
    low, high = drop_of(score(0.90)).low, drop_of(score(0.90)).high
    assert low < 5 < high


def test_what_cannot_be_told_from_no_change_is_marked():
    data = map_data(table(*POINTS))
    assert data["text"][:2] == ["~1.0", "40.0"]
    assert not drop_of(score(0.55)).unclear


def test_what_cannot_be_done_is_hatched_and_has_no_colour():
    data = map_data(table(*POINTS))
    assert math.isnan(data["drop"][2])
    assert data["hatch"] == ["blank", "blank", "right_diagonal_line"]
    assert data["words"][2] == "cannot be done: tied to the output"
    assert theme.IMPOSSIBLE not in theme.LOSSES


def test_noise_does_not_get_the_darkest_colour():
    assert map_limit(table(POINTS[0])) == 5.0
    assert map_limit(table(*POINTS)) > 39


def test_points_that_were_not_reached_are_absent():
    assert len(map_data(table(POINTS[0]))["x"]) == 1


def test_only_what_can_be_done_has_a_line():
    scan = table(*POINTS)
    assert most_sensitive(scan) == ("first",)
    assert line_data(scan)["label"] == ["first"]
    assert len(line_data(scan)["band"][0]) == 4
    assert len(dot_data(scan)["x"]) == 2
    assert other_data(scan)["xs"] == [[]]
    assert HOSTILE not in dot_data(scan)["target"]


def test_drawn_words_have_a_font_and_not_a_column():
    assert theme.WORDS["text_font"] == value(theme.FONT)
