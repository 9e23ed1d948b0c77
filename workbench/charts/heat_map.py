"""Layer by strength: how many points the score falls."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from bokeh.models import ColumnDataSource, FactorRange, LinearColorMapper
from bokeh.models.annotations import ColorBar
from bokeh.plotting import figure as Figure  # the class is spelt like a function

from workbench import formatting
from workbench.charts import theme
from workbench.charts.color_bar import add_color_bar
from workbench.charts.drop import Drop, drop_axis, drop_of
from workbench.charts.labels import axis_labels
from workbench.search.sensitivity import Point, Table

BAR_HEIGHT = 400
LEAST = {"%": 5.0, "": 0.0}


def map_data(table: Table | None) -> dict[str, list[Any]]:
    """Return one row a point that is known: its place, its drop (NaN where it cannot be done), and its words."""
    labels = dict(zip(table.targets, axis_labels(table.targets), strict=True)) if table else {}
    points = table.points if table else ()
    drops = [drop_of(point.score) if point.score else None for point in points]
    shown = [drop.value if drop else math.nan for drop in drops]
    limit = map_limit(table)
    return {
        "x": [f"{point.strength:g}" for point in points],
        "y": [labels[point.target] for point in points],
        "target": [point.target for point in points],
        "drop": shown,
        "hatch": ["blank" if drop else "right_diagonal_line" for drop in drops],
        "text": [_cell(drop) for drop in drops],
        "ink": [theme.ON_STRONG if drop and drop.value > 0.55 * limit else theme.ON_WEAK for drop in drops],
        "words": [_words(point, drop) for point, drop in zip(points, drops, strict=True)],
        "size": [formatting.size(point.bytes) if point.score else "–" for point in points],
    }


def map_limit(table: Table | None) -> float:
    """Return the drop that has the darkest colour: the largest, but never so small that noise looks like a loss."""
    if table is None:
        return 1.0
    drops = [drop_of(point.score).value for point in table.points if point.score]
    return max([*drops, LEAST.get(table.baseline.unit, 0.0)], default=1.0) or 1.0


def _cell(drop: Drop | None) -> str:
    if drop is None:
        return "×"
    if not drop.points:
        return f"{drop.value:.3g}"
    # A gain that may be none is no loss that anybody can see; and nobody wants to read -0.0.
    shown = max(drop.value, 0.0) if drop.unclear else drop.value
    return formatting.minus(f"{'~' if drop.unclear else ''}{round(shown, 1) + 0.0:.1f}")


def _words(point: Point, drop: Drop | None) -> str:
    if drop is None or point.score is None:
        return f"cannot be done: {point.reason}"
    return f"{drop.text} · {formatting.score(point.score)}"


@dataclass(frozen=True)
class SensitivityMap:
    """The figure and what feeds it. A tap on a cell selects it in `source`."""

    figure: Figure
    source: ColumnDataSource
    mapper: LinearColorMapper
    bar: ColorBar

    def show(self, table: Table | None) -> None:
        """Draw another table, or the same with more points."""
        self.mapper.high = map_limit(table)
        self.source.data = map_data(table)
        if table is not None:
            self.figure.x_range.update(factors=[f"{value:g}" for value in dict.fromkeys(table.strengths)])
            self.figure.y_range.update(factors=axis_labels(table.targets)[::-1])
            self.figure.height = theme.rows_height(len(table.targets)) + 24
            # Beside hundreds of rows only a part of a bar as high as they are would be in sight.
            self.bar.height = min(theme.ROW * len(table.targets), BAR_HEIGHT)
            self.bar.title = drop_axis(table.baseline)
            self.figure.xaxis.axis_label = f"strength of {table.step.get('kind', 'the step')}".replace("_", " ")


def sensitivity_map(table: Table | None = None) -> SensitivityMap:
    """Return the heat-map of a scan.

    A number with ~ is a drop whose interval holds zero. What cannot be done is hatched, with the reason in the
    tooltip, and has no colour of the scale, so that nobody takes it for robust.
    """
    figure = theme.plot(x="strength", x_range=FactorRange(), y_range=FactorRange(), x_axis_location="above")
    source = ColumnDataSource(map_data(None))
    mapper = theme.color_scale(theme.LOSSES, theme.DARK_LOSSES, low=0.0, high=1.0, nan_color=theme.IMPOSSIBLE)
    cells = figure.rect(
        "x", "y", width=0.985, height=0.92, source=source, line_color=None,
        fill_color={"field": "drop", "transform": mapper},
        hatch_pattern="hatch", hatch_color="#8a8a8a", hatch_scale=8, hatch_weight=1,
    )  # fmt: skip
    figure.text("x", "y", "text", source=source, text_color="ink", text_align="center", **theme.WORDS)
    bar = add_color_bar(figure, mapper, "points lost")
    figure.grid.visible = False
    rows = [("part", "@target"), ("strength", "@x"), ("score", "@words"), ("file with only this", "@size")]
    theme.add_tooltip(figure, rows, cells)
    chart = SensitivityMap(figure, source, mapper, bar)
    chart.show(table)
    return chart
