"""Figures: what changes in the figure's models becomes synced state."""

from __future__ import annotations

import json
import math

import pytest
from bokeh.models import BoxAnnotation, ColumnDataSource
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
    shown = Figure(figure())
    shown.draw()
    assert "cdn.bokeh.org" not in shown.item


def test_a_figure_is_made_for_the_page_that_asks_first() -> None:
    plot, source = figure(), ColumnDataSource({"x": [1.0]})
    plot.scatter("x", "x", source=source)
    shown = Figure(plot)
    with shown.update():
        source.data = {"x": [2.0]}
    assert shown.item == ""
    shown.draw()
    first = shown.item
    assert source.id in first
    shown.draw()
    assert shown.item == first


def test_a_figure_in_two_widgets_is_refused() -> None:
    plot = figure()
    Figure(plot)
    with pytest.raises(RuntimeError):
        Figure(plot)


def test_a_drag_reaches_the_model_and_whoever_listens() -> None:
    plot, box, heard = figure(), BoxAnnotation(left=-1.0, right=1.0, editable=True), []
    plot.add_layout(box)
    shown = Figure(plot)
    shown.on_drag(box, heard.append, "left", "right")
    assert shown.follows == {box.id: ["left", "right"]}
    shown.receive({"page": "a", "number": 7, "moved": {box.id: {"left": -2.0, "right": 2.0}}})
    assert (box.left, box.right) == (-2.0, 2.0)
    assert heard == [{"left": -2.0, "right": 2.0}]
    assert shown.changed[box.id] == {"left": -2.0, "right": 2.0}, "other pages are told"
    assert shown.seen == ["a", 7]


def test_a_tap_tells_the_row() -> None:
    plot, source, heard = figure(), ColumnDataSource({"x": [1, 2, 3]}), []
    marks = plot.scatter("x", "x", source=source)
    shown = Figure(plot)
    shown.on_tap(marks, heard.append)
    shown.receive({"page": "a", "number": 1, "moved": {source.selected.id: {"indices": [2]}}})
    assert heard == [2]
    assert source.selected.indices == [], "a tap leaves no selection behind"


def test_what_a_page_may_not_move_is_left_alone() -> None:
    plot, box, heard = figure(), BoxAnnotation(left=-1.0, right=1.0), []
    plot.add_layout(box)
    shown = Figure(plot)
    shown.on_drag(box, heard.append, "left", "right")
    for moved in ({plot.id: {"height": 1}}, {box.id: {"left": "x", "right": 2.0}}, {box.id: {"left": math.nan}}):
        shown.receive({"page": "a", "number": 1, "moved": moved})
    assert (box.left, box.right, heard) == (-1.0, 1.0, [])


def test_a_page_is_not_left_waiting_for_a_listener_that_fails() -> None:
    plot, box = figure(), BoxAnnotation(left=-1.0, right=1.0)
    plot.add_layout(box)
    shown = Figure(plot)
    shown.on_drag(box, lambda _: 1 / 0, "left")
    with pytest.raises(ZeroDivisionError):
        shown.receive({"page": "a", "number": 3, "moved": {box.id: {"left": 0.5}}})
    assert shown.seen == ["a", 3]
