"""Score against size of every state that was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bokeh.models import ColumnDataSource
from bokeh.plotting import figure as Figure  # the class is spelt like a function

from workbench import numbers
from workbench.charts import theme
from workbench.charts.units import byte_unit
from workbench.measure import Score

Role = Literal["baseline", "current", "other"]
MARKERS: dict[Role, str] = {"baseline": "square", "current": "diamond", "other": "circle"}
SIZES: dict[Role, int] = {"baseline": 13, "current": 19, "other": 12}
COLORS: dict[Role, str] = {"baseline": theme.BEFORE, "current": theme.AFTER, "other": theme.ORANGE}


@dataclass(frozen=True)
class Candidate:
    """One state of the trade-off.

    Attributes:
        title: What leads to it.
        score: With its interval.
        bytes: Of its file.
        role: Which of the states it is.
        number: Its number in the history, for whoever handles a tap.
    """

    title: str
    score: Score
    bytes: int
    role: Role = "other"
    number: int = 0


def trade_off_data(found: Sequence[Candidate]) -> dict[str, list[Any]]:
    """Return one row a state: bytes in the axis' unit, score with interval in the metric's, and its words."""
    divisor, _ = byte_unit(max((row.bytes for row in found), default=1))
    factor = 100.0 if found and found[0].score.unit == "%" else 1.0
    return {
        "x": [row.bytes / divisor for row in found],
        "y": [row.score.value * factor for row in found],
        "low": [row.score.low * factor for row in found],
        "high": [row.score.high * factor for row in found],
        "marker": [MARKERS[row.role] for row in found],
        "dot": [SIZES[row.role] for row in found],
        "color": [COLORS[row.role] for row in found],
        "role": [row.role for row in found],
        "number": [row.number for row in found],
        "title": [row.title for row in found],
        "score": [numbers.score(row.score) for row in found],
        "size": [numbers.size(row.bytes) for row in found],
    }


@dataclass(frozen=True)
class TradeOffChart:
    """The figure and what feeds it."""

    figure: Figure
    source: ColumnDataSource

    def show(self, found: Sequence[Candidate]) -> None:
        """Draw other states."""
        self.source.data = trade_off_data(found)
        divisor, unit = byte_unit(max((row.bytes for row in found), default=1))
        self.figure.xaxis.axis_label = f"file, {unit}"
        self.figure.x_range.update(end=max((row.bytes for row in found), default=1) / divisor * 1.08)
        if found:
            score = found[0].score
            self.figure.yaxis.axis_label = f"{score.metric}, {score.unit}" if score.unit else score.metric
            ends = [*self.source.data["low"], *self.source.data["high"]]
            # Less than two points over the whole height would make noise look like a landscape.
            room = max((max(ends) - min(ends)) * 0.12, 1.0 if score.unit == "%" else 1e-9)
            self.figure.y_range.update(start=min(ends) - room, end=max(ends) + room)


def trade_off_chart(found: Sequence[Candidate] = (), height: int = 320) -> TradeOffChart:
    """Return the scatter of states; upper left is better where a higher score is."""
    figure = theme.plot(x="file, bytes", y="score", height=height, x_range=(0, 1), y_range=(0, 1))
    source = ColumnDataSource(trade_off_data(()))
    figure.segment("x", "low", "x", "high", source=source, line_color="color", line_width=2)
    marks = figure.scatter(
        "x",
        "y",
        source=source,
        marker="marker",
        size="dot",
        fill_color="color",
        line_color="color",
        legend_field="role",
    )
    theme.place_legend(figure)
    theme.add_tooltip(figure, [("", "@title"), ("score", "@score"), ("file", "@size")], marks)
    chart = TradeOffChart(figure, source)
    chart.show(found)
    return chart
