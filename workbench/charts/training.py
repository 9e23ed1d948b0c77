"""One figure that training reports, over its progress."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bokeh.models import ColumnDataSource, NumeralTickFormatter
from bokeh.plotting import figure as Figure  # the class is spelt like a function

from workbench import formatting
from workbench.charts import theme

News = tuple[float, str, float]
MOST = 400
BORDER = 72


def training_data(curve: Sequence[News], name: str, unit: str = "") -> dict[str, list[Any]]:
    """Return the points of the figure `name` among (done 0 to 1, name, value); at most 400, averaged beyond."""
    points = [(done, value) for done, what, value in curve if what == name]
    width = -(-len(points) // MOST) or 1
    parts = [points[start : start + width] for start in range(0, len(points), width)]
    x = [part[-1][0] for part in parts]
    y = [sum(value for _, value in part) / len(part) for part in parts]
    factor = 100.0 if unit == "%" else 1.0
    words = [formatting.score_value(value, unit) for value in y]
    return {
        "x": x,
        "y": [value * factor for value in y],
        "done": [formatting.percent(value) for value in x],
        "value": words,
    }


def best_data(data: dict[str, list[Any]], higher_is_better: bool) -> dict[str, list[Any]]:
    """Return the point of `training_data` that is best, the first of equal ones; none of none."""
    if not data["y"]:
        return {name: [] for name in data}
    place = data["y"].index((max if higher_is_better else min)(data["y"]))
    return {name: [column[place]] for name, column in data.items()}


@dataclass(frozen=True)
class TrainingChart:
    """The figure, what feeds it, and the name of what it shows."""

    figure: Figure
    source: ColumnDataSource
    best: ColumnDataSource
    level: ColumnDataSource
    name: str

    def show(
        self,
        curve: Sequence[News],
        unit: str = "",
        baseline: float | None = None,
        best: bool = False,
        higher_is_better: bool = True,
    ) -> None:
        """Draw what was reported so far.

        Args:
            curve: (part done, name, value); other names are passed over.
            unit: "%" where 1.0 reads as 100 %.
            baseline: A level to compare with.
            best: Whether the best point is the one that is kept, and marked.
            higher_is_better: Which point that is.
        """
        data = training_data(curve, self.name, unit)
        self.source.data = data
        self.best.data = best_data(data if best else training_data((), self.name), higher_is_better)
        self.figure.yaxis.axis_label = f"{self.name}, {unit}" if unit else self.name
        height = None if baseline is None else baseline * (100.0 if unit == "%" else 1.0)
        self.level.data = {"x": [], "y": []} if height is None else {"x": [0.0, 1.02], "y": [height, height]}


def training_chart(name: str = "loss", curve: Sequence[News] = (), height: int = 220) -> TrainingChart:
    """Return the curve of one reported figure, such as "loss" or "score"."""
    # From nothing to all, so that the curve grows to the right and its end is in sight.
    figure = theme.plot(x="training done", y=name, height=height, x_range=(0, 1.02))
    figure.xaxis.formatter = NumeralTickFormatter(format="0 %")
    figure.min_border_left = BORDER  # loss and score stand above each other, at one time axis
    source, best = ColumnDataSource(training_data(curve, name)), ColumnDataSource(training_data((), name))
    level = ColumnDataSource({"x": [], "y": []})
    # A glyph and no span, so that the axis reaches to it.
    figure.line("x", "y", source=level, line_color=theme.LINE, line_dash="dashed", line_width=1.5)
    figure.line("x", "y", source=source, line_color=theme.AFTER, line_width=2)
    marks = figure.scatter("x", "y", source=source, size=4 if name == "loss" else 8, color=theme.AFTER)
    figure.scatter("x", "y", source=best, marker="star", size=20, color=theme.ORANGE, line_color=theme.TEXT)
    theme.add_tooltip(figure, [("done", "@done"), (name, "@value")], marks)
    return TrainingChart(figure, source, best, level, name)
