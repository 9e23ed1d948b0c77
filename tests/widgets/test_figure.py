"""Figures: what changes in the figure's models becomes synced state."""

from __future__ import annotations

import json
import math

import pytest
from bokeh.models import ColumnDataSource
from bokeh.plotting import figure

from widgets.figure import BokehJS, Figure


def test_only_changes_inside_of_update_are_sent_and_they_add_up() -> None:
    plot, source = figure(), ColumnDataSource({"x": [1.0]})
    plot.scatter("x", "x", source=source)
    shown = Figure(plot)
    assert shown.changed == {}
    with shown.update():
        source.data = {"x": [2.0, math.nan]}
    assert shown.changed[source.id]["data"] == {"x": [2.0, None]}
    with shown.update():
        plot.height = 123
    assert shown.changed[source.id]["data"] == {"x": [2.0, None]}
    assert shown.changed[plot.id]["height"] == 123
    json.dumps(shown.changed, allow_nan=False)


def test_the_library_comes_from_the_installed_package() -> None:
    source = BokehJS().source
    assert "BokehJS" in source
    assert "cdn.bokeh.org" not in json.dumps(Figure(figure()).get_state()["item"])


def test_a_figure_in_two_widgets_is_refused() -> None:
    plot = figure()
    Figure(plot)
    with pytest.raises(RuntimeError):
        Figure(plot)
