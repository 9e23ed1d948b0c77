"""Strength against the drop of the score, a line a layer, with bands of the 95 % intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bokeh.models import ColumnDataSource
from bokeh.models.annotations import Span
from bokeh.plotting import figure as Figure  # the class is spelt like a function

from workbench import numbers
from workbench.charts import theme
from workbench.charts.drop import Drop, drop_axis, drop_of
from workbench.charts.labels import axis_labels
from workbench.sensitivity import Table

COLOURED = len(theme.SERIES)


def most_sensitive(table: Table, count: int = COLOURED) -> tuple[str, ...]:
    """Return the parts whose score falls most at any strength, the worst first."""
    worst: dict[str, float] = {}
    for point in table.points:
        if point.score is not None:
            worst[point.target] = max(worst.get(point.target, -1e300), drop_of(point.score).value)
    return tuple(sorted(worst, key=lambda target: -worst[target])[:count])


def line_data(table: Table | None, coloured: Sequence[str] = ()) -> dict[str, list[Any]]:
    """Return one row a part that has points: its line, its band and its colour; the coloured ones come last."""
    rows: dict[str, list[Any]] = {name: [] for name in ("xs", "ys", "band", "edge", "color", "alpha", "fill", "label")}
    if table is None:
        return rows
    shown = list(coloured) or list(most_sensitive(table))
    labels = dict(zip(table.targets, axis_labels(table.targets), strict=True))
    for target in sorted(table.targets, key=lambda name: -shown.index(name) if name in shown else -len(shown) - 1):
        line = _line(table, target)
        if not line:
            continue
        chosen = target in shown
        rows["xs"].append([x for x, _ in line])
        rows["ys"].append([drop.value for _, drop in line])
        rows["band"].append([x for x, _ in line] + [x for x, _ in reversed(line)])
        rows["edge"].append([drop.high for _, drop in line] + [drop.low for _, drop in reversed(line)])
        rows["color"].append(theme.SERIES[shown.index(target) % COLOURED] if chosen else theme.FAINT)
        rows["alpha"].append(1.0 if chosen else 0.6)
        rows["fill"].append(0.14 if chosen else 0.0)
        rows["label"].append(labels[target] if chosen else "others")
    return rows


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
        "score": [numbers.score(point.score) for point in points if point.score is not None],
    }


def _line(table: Table, target: str) -> list[tuple[float, Drop]]:
    found = [(p.strength, drop_of(p.score)) for p in table.points if p.target == target and p.score is not None]
    return sorted(found, key=lambda pair: pair[0])


@dataclass(frozen=True)
class SensitivityCurves:
    """The figure and what feeds it."""

    figure: Figure
    lines: ColumnDataSource
    dots: ColumnDataSource

    def show(self, table: Table | None, coloured: Sequence[str] = ()) -> None:
        """Draw another table; the parts named in `coloured` stand out, by default the most sensitive ones."""
        self.lines.data, self.dots.data = line_data(table, coloured), dot_data(table, coloured)
        if table is not None:
            self.figure.yaxis.axis_label = drop_axis(table.baseline)
            self.figure.xaxis.axis_label = f"strength of {table.step.get('kind', 'the step')}".replace("_", " ")


def sensitivity_curves(
    table: Table | None = None, coloured: Sequence[str] = (), height: int = 340
) -> SensitivityCurves:
    """Return the chart of a scan's lines. A part that cannot be done has no line."""
    figure = theme.plot(x="strength", y="points lost", height=height)
    lines, dots = ColumnDataSource(line_data(None)), ColumnDataSource(dot_data(None))
    figure.add_layout(Span(dimension="width", location=0, line_color=theme.LINE, line_width=1))
    figure.patches("band", "edge", source=lines, fill_color="color", fill_alpha="fill", line_color=None)
    figure.multi_line(
        "xs", "ys", source=lines, line_color="color", line_alpha="alpha", line_width=2, legend_field="label"
    )
    marks = figure.scatter("x", "y", source=dots, size=6, color="color")
    theme.style_legend(figure, "top_left")
    rows = [("part", "@target"), ("strength", "@x"), ("change", "@change"), ("score", "@score")]
    theme.add_tooltip(figure, rows, marks)
    chart = SensitivityCurves(figure, lines, dots)
    chart.show(table, coloured)
    return chart
