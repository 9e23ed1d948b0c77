"""Figures of the course's tools: levels on a histogram, bars of classes, a matrix, a tree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np  # Bokeh takes pictures as arrays only
from bokeh.models import ColumnDataSource, LinearColorMapper
from bokeh.models.annotations import Span
from bokeh.models.glyphs import Image
from bokeh.plotting import figure as Figure  # the class is spelt like a function
from bokeh.transform import linear_cmap

from workbench.charts import theme
from workbench.charts.histogram import histogram_data
from workbench.inspection import Histogram

# From negative over nothing to positive; both ends are told apart by any eyes.
SIGNS = ("#0072B2", "#3a90c4", "#75afd6", "#b0cee6", "#e8eef3", "#f6e9d3", "#f2d08f", "#edb84e", "#E69F00")


@dataclass(frozen=True)
class LevelsChart:
    """A histogram of weights with levels that can be dragged; those that are not used are not seen."""

    figure: Figure
    bars: ColumnDataSource
    levels: tuple[Span, ...]
    others: ColumnDataSource
    top: float

    def show(self, places: Sequence[float], others: Sequence[float] = ()) -> None:
        """Move the levels, and show other ones for comparison."""
        for number, level in enumerate(self.levels):
            level.visible = number < len(places)
            if level.visible:
                level.location = places[number]
        self.others.data = {"x": list(others), "y": [0.04 * self.top] * len(others)}


def levels_chart(weights: Histogram, most: int) -> LevelsChart:
    """Return the chart of a layer's weights, with at most `most` levels."""
    top = max(weights.counts) * 1.1
    room = 0.03 * (weights.edges[-1] - weights.edges[0])
    ends = (weights.edges[0] - room, weights.edges[-1] + room)
    figure = theme.plot(x="weight; drag the lines", y="values", height=230, x_range=ends, y_range=(0, top))
    bars = ColumnDataSource(histogram_data(weights))
    figure.quad(left="left", right="right", top="top", bottom=0, source=bars, fill_color=theme.BEFORE, line_color=None)
    spans = tuple(
        Span(
            dimension="height", location=0, visible=False, editable=True, line_color=theme.ORANGE, line_width=3,
            hover_line_color=theme.VERMILION, hover_line_width=4,
        )
        for _ in range(most)
    )  # fmt: skip
    for span in spans:
        figure.add_layout(span)
    others = ColumnDataSource({"x": [], "y": []})
    figure.scatter("x", "y", source=others, marker="triangle", size=14, color=theme.BLUE)
    return LevelsChart(figure, bars, spans, others, top)


@dataclass(frozen=True)
class ClassBars:
    """What a net says of one sample, a bar a class."""

    figure: Figure
    source: ColumnDataSource

    def show(self, shares: Sequence[float]) -> None:
        """Draw other shares, of which the largest stands out."""
        best = max(range(len(shares)), key=shares.__getitem__)
        color = [theme.AFTER if place == best else theme.ORANGE for place in range(len(shares))]
        self.source.data = {**self.source.data, "share": list(shares), "color": color}


def class_bars(classes: Sequence[str], shares: Sequence[float]) -> ClassBars:
    """Return a bar for each class; `shares` sum up to one."""
    figure = theme.plot(x="class", y="share of the output", height=230, x_range=list(classes), y_range=(0, 1))
    figure.xgrid.visible = False
    source = ColumnDataSource({"name": list(classes), "share": list(shares), "color": [theme.AFTER] * len(classes)})
    bars = figure.vbar(x="name", top="share", width=0.75, source=source, color="color")
    theme.add_tooltip(figure, [("class", "@name"), ("share", "@share{0.0000}")], bars)
    chart = ClassBars(figure, source)
    chart.show(shares)
    return chart


@dataclass(frozen=True)
class MatrixChart:
    """A matrix as a picture."""

    figure: Figure
    source: ColumnDataSource

    def show(self, rows: Sequence[Sequence[float]]) -> None:
        """Draw other values in the same shape."""
        self.source.data = {**self.source.data, "image": [_picture(rows)]}


def matrix_chart(rows: Sequence[Sequence[float]], reach: float, height: int = 230) -> MatrixChart:
    """Return a matrix as a picture, the first row on top; values from -reach to reach have colours."""
    wide, high = len(rows[0]), len(rows)
    figure = theme.plot(height=height, x_range=(0, wide), y_range=(0, high))
    figure.axis.visible = False
    figure.grid.visible = False
    mapper = LinearColorMapper(palette=SIGNS, low=-reach, high=reach)
    source = ColumnDataSource({"image": [_picture(rows)], "x": [0], "y": [0], "dw": [wide], "dh": [high]})
    figure.add_glyph(source, Image(image="image", x="x", y="y", dw="dw", dh="dh", color_mapper=mapper))
    return MatrixChart(figure, source)


def _picture(rows: Sequence[Sequence[float]]) -> Any:
    """Return rows as Bokeh takes pictures: an array whose first row is the lowest."""
    return np.asarray(rows, np.float32)[::-1].copy()


@dataclass(frozen=True)
class TreeChart:
    """A tree that grows: nodes, and the edges that are there so far."""

    figure: Figure
    nodes: ColumnDataSource
    edges: ColumnDataSource


def tree_chart(leaves: Sequence[str], depth: int) -> TreeChart:
    """Return an empty tree with room for leaves in their order and so many joins above each other."""
    figure = theme.plot(height=300, x_range=(-0.7, len(leaves) - 0.3), y_range=(-0.8, depth + 0.6))
    figure.axis.visible = False
    figure.grid.visible = False
    edges = ColumnDataSource({"x0": [], "y0": [], "x1": [], "y1": [], "bit": [], "x": [], "y": []})
    nodes = ColumnDataSource({"x": [], "y": [], "size": [], "fresh": [], "text": [], "below": []})
    figure.segment("x0", "y0", "x1", "y1", source=edges, line_color=theme.LINE, line_width=1.5)
    figure.text(
        "x", "y", "bit", source=edges, text_color=theme.VERMILION, text_align="center", x_offset=-7, **theme.WORDS
    )
    figure.scatter(
        "x", "y", size="size", source=nodes, line_color=None,
        fill_color=linear_cmap("fresh", [theme.AFTER, theme.ORANGE], 0, 1),
    )  # fmt: skip
    figure.text("x", "y", "below", source=nodes, text_color=theme.TEXT, text_align="center", y_offset=20, **theme.WORDS)
    figure.text("x", "y", "text", source=nodes, text_color=theme.TEXT, text_align="center", y_offset=-17, **theme.WORDS)
    return TreeChart(figure, nodes, edges)
