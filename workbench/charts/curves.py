"""Strength against the drop of the score, a line a layer, with bands of the 95 % intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bokeh.models import ColumnDataSource
from bokeh.models.annotations import Span
from bokeh.plotting import figure as Figure  # the class is spelt like a function

from workbench import formatting
from workbench.charts import theme
from workbench.charts.drop import Drop, drop_axis, drop_of
from workbench.charts.labels import axis_labels
from workbench.search.sensitivity import Table

COLOURED = len(theme.SERIES)


def most_sensitive(table: Table, count: int = COLOURED) -> tuple[str, ...]:
    """Return the parts whose score falls most at any strength, the worst first."""
    worst: dict[str, float] = {}
    for point in table.points:
        if point.score is not None:
            worst[point.target] = max(worst.get(point.target, -1e300), drop_of(point.score).value)
    return tuple(sorted(worst, key=lambda target: -worst[target])[:count])


def line_data(table: Table | None, coloured: Sequence[str] = ()) -> dict[str, list[Any]]:
    """Return one row a coloured part that has points: its line, its band, its colour and its label."""
    rows: dict[str, list[Any]] = {name: [] for name in ("xs", "ys", "band", "edge", "color", "label")}
    if table is None:
        return rows
    shown = list(coloured) or list(most_sensitive(table))
    labels = dict(zip(table.targets, axis_labels(table.targets), strict=True))
    for number, target in enumerate(shown):
        line = _line(table, target)
        if not line:
            continue
        rows["xs"].append([x for x, _ in line])
        rows["ys"].append([drop.value for _, drop in line])
        rows["band"].append([x for x, _ in line] + [x for x, _ in reversed(line)])
        rows["edge"].append([drop.high for _, drop in line] + [drop.low for _, drop in reversed(line)])
        rows["color"].append(theme.SERIES[number % COLOURED])
        rows["label"].append(labels[target])
    return rows


def other_data(table: Table | None, coloured: Sequence[str] = ()) -> dict[str, list[Any]]:
    """Return the lines of the parts that are not coloured."""
    shown = (list(coloured) or list(most_sensitive(table))) if table else []
    lines = [_line(table, target) for target in table.targets if target not in shown] if table else []
    return {
        "xs": [[x for x, _ in line] for line in lines],
        "ys": [[drop.value for _, drop in line] for line in lines],
    }


def dot_data(table: Table | None, coloured: Sequence[str] = ()) -> dict[str, list[Any]]:
    """Return one row a point that could be done, for the tooltip."""
    points = [point for point in (table.points if table else ()) if point.score is not None]
    drops = [drop_of(point.score) for point in points if point.score is not None]
    shown = list(coloured) or (list(most_sensitive(table)) if table else [])
    return {
        "x": [point.strength for point in points],
        "y": [drop.value for drop in drops],
        "color": [theme.SERIES[shown.index(p.target) % COLOURED] if p.target in shown else theme.FAINT for p in points],
        "target": [point.target for point in points],
        "change": [drop.text for drop in drops],
        "score": [formatting.score(point.score) for point in points if point.score is not None],
    }


def _line(table: Table, target: str) -> list[tuple[float, Drop]]:
    points = [(p.strength, drop_of(p.score)) for p in table.points if p.target == target and p.score is not None]
    return sorted(points, key=lambda pair: pair[0])


@dataclass(frozen=True)
class SensitivityCurves:
    """The figure and what feeds it."""

    figure: Figure
    others: ColumnDataSource
    lines: ColumnDataSource
    dots: ColumnDataSource

    def show(self, table: Table | None, coloured: Sequence[str] = ()) -> None:
        """Draw another table; the parts named in `coloured` stand out, by default the most sensitive ones."""
        self.others.data = other_data(table, coloured)
        self.lines.data, self.dots.data = line_data(table, coloured), dot_data(table, coloured)
        if table is not None:
            self.figure.yaxis.axis_label = drop_axis(table.baseline)
            self.figure.xaxis.axis_label = f"strength of {table.step.get('kind', 'the step')}".replace("_", " ")


def sensitivity_curves(
    table: Table | None = None, coloured: Sequence[str] = (), height: int = 340
) -> SensitivityCurves:
    """Return the chart of a scan's lines. A part that cannot be done has no line."""
    figure = theme.plot(x="strength", y="points lost", height=height)
    others = ColumnDataSource(other_data(None))
    lines, dots = ColumnDataSource(line_data(None)), ColumnDataSource(dot_data(None))
    figure.add_layout(Span(dimension="width", location=0, line_color=theme.LINE, line_width=1))
    figure.multi_line("xs", "ys", source=others, line_color=theme.FAINT, line_width=1.5)
    figure.patches("band", "edge", source=lines, fill_color="color", fill_alpha=0.14, line_color=None)
    figure.multi_line("xs", "ys", source=lines, line_color="color", line_width=2, legend_field="label")
    marks = figure.scatter("x", "y", source=dots, size=6, color="color")
    theme.place_legend(figure, "right")
    rows = [("part", "@target"), ("strength", "@x"), ("change", "@change"), ("score", "@score")]
    theme.add_tooltip(figure, rows, marks)
    chart = SensitivityCurves(figure, others, lines, dots)
    chart.show(table, coloured)
    return chart
