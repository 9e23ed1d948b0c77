"""One figure that training reports, over its progress."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bokeh.models import ColumnDataSource, NumeralTickFormatter
from bokeh.plotting import figure as Figure  # the class is spelt like a function

from workbench.charts import theme

News = tuple[float, str, float]
MOST = 400


def training_data(curve: Sequence[News], name: str) -> dict[str, list[Any]]:
    """Return the points of the figure `name` among (done 0 to 1, name, value); at most 400, averaged beyond."""
    found = [(done, value) for done, what, value in curve if what == name]
    width = -(-len(found) // MOST) or 1
    parts = [found[start : start + width] for start in range(0, len(found), width)]
    x = [part[-1][0] for part in parts]
    y = [sum(value for _, value in part) / len(part) for part in parts]
    return {"x": x, "y": y, "done": [f"{value:.0%}" for value in x], "value": [f"{value:.4g}" for value in y]}


@dataclass(frozen=True)
class TrainingChart:
    """The figure, what feeds it, and the name of what it shows."""

    figure: Figure
    source: ColumnDataSource
    name: str

    def show(self, curve: Sequence[News]) -> None:
        """Draw what was reported so far."""
        self.source.data = training_data(curve, self.name)


def training_chart(name: str = "loss", curve: Sequence[News] = (), height: int = 220) -> TrainingChart:
    """Return the curve of one reported figure, such as "loss" or "score"."""
    figure = theme.plot(x="training done", y=name, height=height)
    figure.xaxis.formatter = NumeralTickFormatter(format="0%")
    source = ColumnDataSource(training_data(curve, name))
    figure.line("x", "y", source=source, line_color=theme.AFTER, line_width=2)
    marks = figure.scatter("x", "y", source=source, size=5 if name == "loss" else 8, color=theme.AFTER)
    theme.add_tooltip(figure, [("done", "@done"), (name, "@value")], marks)
    return TrainingChart(figure, source, name)
