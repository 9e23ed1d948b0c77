"""Part of the units that is gone against the drop of the score, a line a criterion, with bands of the intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bokeh.models import ColumnDataSource, NumeralTickFormatter
from bokeh.models.annotations import Span
from bokeh.plotting import figure as Figure  # the class is spelt like a function

from workbench import formatting
from workbench.charts import theme
from workbench.charts.drop import drop_axis, drop_of
from workbench.search.contest import Contest, Entry

COLOURED = len(theme.SERIES)
CONTROL = "random"


def curve_data(contest: Contest | None) -> dict[str, list[Any]]:
    """Return one row a criterion that ranked, the best first: its line, its band, its looks and its label.

    The best ones are coloured, the others faint; the control is dashed, so that nobody takes it for a proposal.
    """
    rows: dict[str, list[Any]] = {name: [] for name in ("xs", "ys", "band", "edge", "color", "alpha", "dash", "label")}
    for entry, color in _coloured(contest):
        drops = [drop_of(stop.score) for stop in entry.curve]
        x = [stop.amount for stop in entry.curve]
        rows["xs"].append(x)
        rows["ys"].append([drop.value for drop in drops])
        rows["band"].append(x + x[::-1])
        rows["edge"].append([drop.high for drop in drops] + [drop.low for drop in reversed(drops)])
        rows["color"].append(color)
        rows["alpha"].append(0.0 if color == theme.FAINT else 0.12)
        rows["dash"].append("dashed" if entry.criterion == CONTROL else "solid")
        rows["label"].append(entry.title)
    return rows


def stop_data(contest: Contest | None) -> dict[str, list[Any]]:
    """Return one row a measured score, for the tooltip."""
    stops = [(entry, color, stop) for entry, color in _coloured(contest) for stop in entry.curve]
    drops = [drop_of(stop.score) for _, _, stop in stops]
    return {
        "x": [stop.amount for _, _, stop in stops],
        "y": [drop.value for drop in drops],
        "color": [color for _, color, _ in stops],
        "criterion": [entry.title for entry, _, _ in stops],
        "gone": [formatting.percent(stop.amount) for _, _, stop in stops],
        "change": [drop.text for drop in drops],
        "score": [formatting.score(stop.score) for _, _, stop in stops],
    }


def _coloured(contest: Contest | None) -> list[tuple[Entry, str]]:
    if contest is None:
        return []
    colors = iter(theme.SERIES)
    return [(entry, theme.LINE if entry.criterion == CONTROL else next(colors, theme.FAINT)) for entry in contest.order]


@dataclass(frozen=True)
class ContestCurves:
    """The figure and what feeds it."""

    figure: Figure
    lines: ColumnDataSource
    stops: ColumnDataSource

    def show(self, contest: Contest | None) -> None:
        """Draw another contest, or the same with more points."""
        self.lines.data, self.stops.data = curve_data(contest), stop_data(contest)
        if contest is not None:
            self.figure.yaxis.axis_label = drop_axis(contest.baseline)
            self.figure.xaxis.axis_label = f"{contest.units} gone, the least important first"


def contest_curves(contest: Contest | None = None, height: int = 380) -> ContestCurves:
    """Return the chart of a contest's measured scores; the legend names the criteria, the best first."""
    figure = theme.plot(x="units gone", y="points lost", height=height)
    figure.xaxis.formatter = NumeralTickFormatter(format="0%")
    lines, stops = ColumnDataSource(curve_data(None)), ColumnDataSource(stop_data(None))
    figure.add_layout(Span(dimension="width", location=0, line_color=theme.LINE, line_width=1))
    figure.patches("band", "edge", source=lines, fill_color="color", fill_alpha="alpha", line_color=None)
    figure.multi_line(
        "xs", "ys", source=lines, line_color="color", line_dash="dash", line_width=2, legend_field="label"
    )
    marks = figure.scatter("x", "y", source=stops, size=6, color="color")
    theme.place_legend(figure, "right")
    rows = [("criterion", "@criterion"), ("gone", "@gone"), ("change", "@change"), ("score", "@score")]
    theme.add_tooltip(figure, rows, marks)
    chart = ContestCurves(figure, lines, stops)
    chart.show(contest)
    return chart
