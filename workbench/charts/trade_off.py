"""Score against a cost of every state that was measured: bytes, multiply-accumulates or time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bokeh.models import ColumnDataSource
from bokeh.models.renderers import GlyphRenderer
from bokeh.plotting import figure as Figure  # the class is spelt like a function

from workbench import formatting
from workbench.charts import theme
from workbench.charts.units import byte_unit, count_unit, joule_unit
from workbench.measure import Score

Role = Literal["baseline", "current", "other", "found", "best", "too much lost"]
Quantity = Literal["bytes", "MACs", "time", "energy"]
MARKERS: dict[Role, str] = {
    "baseline": "square", "current": "diamond", "other": "circle", "found": "triangle", "best": "diamond",
    "too much lost": "x",
}  # fmt: skip
SIZES: dict[Role, int] = {"baseline": 13, "current": 19, "other": 12, "found": 11, "best": 19, "too much lost": 8}
COLORS: dict[Role, str] = {
    "baseline": theme.BEFORE, "current": theme.AFTER, "other": theme.ORANGE, "found": theme.GREEN, "best": theme.BLUE,
    "too much lost": theme.FAINT,
}  # fmt: skip


@dataclass(frozen=True)
class Candidate:
    """One state of the trade-off.

    Attributes:
        title: What leads to it.
        score: With its interval.
        cost: Bytes of its file, multiply-accumulates or joules for a sample, or time as a part of the baseline's.
        role: Which of the states it is.
        number: Its number in the history, or among a search's candidates, for whoever handles a tap.
        low: Lower end of the cost's interval, None where the cost is exact.
        high: Upper end.
    """

    title: str
    score: Score
    cost: float
    role: Role = "other"
    number: int = 0
    low: float | None = None
    high: float | None = None


def pareto_front(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the states that no other beats in score at the same or a lower cost, by rising cost.

    What a search found takes part, with the score that it has until then.
    """
    front: list[Candidate] = []
    for row in sorted(candidates, key=lambda row: (row.cost, -_good(row.score))):
        if not front or _good(row.score) > _good(front[-1].score):
            front.append(row)
    return front


def _good(score: Score) -> float:
    return score.value if score.higher_is_better else -score.value


def trade_off_data(candidates: Sequence[Candidate], quantity: Quantity = "bytes") -> dict[str, list[Any]]:
    """Return one row a state: cost in the axis' unit, score with interval in the metric's, and its words."""
    divisor, factor = _unit(candidates, quantity)[0], _factor(candidates)
    return {
        "x": [row.cost / divisor for row in candidates],
        "left": [(row.cost if row.low is None else row.low) / divisor for row in candidates],
        "right": [(row.cost if row.high is None else row.high) / divisor for row in candidates],
        "y": [row.score.value * factor for row in candidates],
        # An interval that is not known has no ends to draw.
        "low": [(row.score.low if row.score.known else row.score.value) * factor for row in candidates],
        "high": [(row.score.high if row.score.known else row.score.value) * factor for row in candidates],
        "marker": [MARKERS[row.role] for row in candidates],
        "dot": [SIZES[row.role] for row in candidates],
        "color": [COLORS[row.role] for row in candidates],
        "role": [row.role for row in candidates],
        "number": [row.number for row in candidates],
        "title": [row.title for row in candidates],
        "score": [formatting.score(row.score) for row in candidates],
        "cost": [_words(row, quantity) for row in candidates],
    }


def front_data(candidates: Sequence[Candidate], quantity: Quantity = "bytes") -> dict[str, list[Any]]:
    """Return the Pareto front's corners, in the units of the axes; it goes on to the right of the dearest state."""
    front, divisor, factor = pareto_front(candidates), _unit(candidates, quantity)[0], _factor(candidates)
    x, y = [row.cost / divisor for row in front], [row.score.value * factor for row in front]
    end = [max(row.cost for row in candidates) / divisor] if candidates else []
    return {"x": [*x, *end], "y": [*y, *y[-1:]] if candidates else []}


def _factor(candidates: Sequence[Candidate]) -> float:
    return 100.0 if candidates and candidates[0].score.unit == "%" else 1.0


def _unit(candidates: Sequence[Candidate], quantity: Quantity) -> tuple[float, str]:
    top = max((row.cost for row in candidates), default=1.0)
    if quantity == "time":
        return 1.0, "part of the baseline's"
    return {"bytes": byte_unit, "energy": joule_unit, "MACs": count_unit}[quantity](top)


def _words(row: Candidate, quantity: Quantity) -> str:
    if quantity == "bytes":
        return formatting.size(row.cost)
    if quantity == "MACs":
        return formatting.count(row.cost)
    if quantity == "energy":
        return formatting.joules(row.cost)
    interval = f" [{row.low:.2f}, {row.high:.2f}]" if row.low is not None and row.high is not None else ""
    return f"{row.cost:.2f} of the baseline's{interval}"


@dataclass(frozen=True)
class TradeOffChart:
    """The figure, what feeds it, and what can be tapped."""

    figure: Figure
    source: ColumnDataSource
    front: ColumnDataSource
    marks: GlyphRenderer[Any]

    def show(self, candidates: Sequence[Candidate], quantity: Quantity = "bytes", title: str = "file") -> None:
        """Draw other states, or others of their costs; `title` says which cost it is."""
        self.source.data, self.front.data = trade_off_data(candidates, quantity), front_data(candidates, quantity)
        unit = _unit(candidates, quantity)[1]
        self.figure.xaxis.axis_label = f"{title}, {unit}" if unit else title
        self.figure.x_range.update(end=max(self.source.data["right"], default=1.0) * 1.08)
        if candidates:
            score = candidates[0].score
            self.figure.yaxis.axis_label = f"{score.metric}, {score.unit}" if score.unit else score.metric
            ends = [*self.source.data["low"], *self.source.data["high"]]
            # Less than two points over the whole height would make noise look like a landscape.
            room = max((max(ends) - min(ends)) * 0.12, 1.0 if score.unit == "%" else 1e-9)
            self.figure.y_range.update(start=min(ends) - room, end=max(ends) + room)


def trade_off_chart(candidates: Sequence[Candidate] = (), height: int = 320) -> TradeOffChart:
    """Return the scatter of states; upper left is better where a higher score is."""
    figure = theme.plot(x="file, bytes", y="score", height=height, x_range=(0, 1), y_range=(0, 1))
    source, front = ColumnDataSource(trade_off_data(())), ColumnDataSource(front_data(()))
    figure.step(
        "x", "y", source=front, mode="after", line_color=theme.GREEN, line_width=2, line_alpha=0.6,
        legend_label="Pareto front",
    )  # fmt: skip
    figure.segment("x", "low", "x", "high", source=source, line_color="color", line_width=2)
    figure.segment("left", "y", "right", "y", source=source, line_color="color", line_width=2)
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
    theme.add_tooltip(figure, [("", "@title"), ("score", "@score"), ("cost", "@cost")], marks)
    chart = TradeOffChart(figure, source, front, marks)
    chart.show(candidates)
    return chart
