"""Minimum, quartiles and maximum of each output channel of a weight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bokeh.models import ColumnDataSource
from bokeh.plotting import figure as Figure  # the class is spelt like a function

from workbench.charts import theme
from workbench.inspection import Spread


def spread_data(spread: Spread | None) -> dict[str, list[Any]]:
    """Return one row a channel: its number, its five values, and their text."""
    names = ("low", "quarter", "median", "three_quarters", "high")
    columns = {name: list(getattr(spread, name)) if spread is not None else [] for name in names}
    count = len(columns["low"])
    return {
        "channel": list(range(count)),
        "left": [n - 0.35 for n in range(count)],
        "right": [n + 0.35 for n in range(count)],
        **columns,
        **{f"{name}_text": [f"{value:.4g}" for value in values] for name, values in columns.items()},
    }


@dataclass(frozen=True)
class SpreadChart:
    """The figure and what feeds it."""

    figure: Figure
    source: ColumnDataSource

    def show(self, spread: Spread | None) -> None:
        """Draw another weight."""
        self.source.data = spread_data(spread)


def spread_chart(spread: Spread | None = None, height: int = theme.HEIGHT) -> SpreadChart:
    """Return the chart of a weight's channels."""
    figure = theme.plot(x="output channel", y="weight", height=height)
    source = ColumnDataSource(spread_data(spread))
    whiskers = figure.segment("channel", "low", "channel", "high", source=source, line_color=theme.LINE)
    boxes = figure.quad(
        left="left", right="right", bottom="quarter", top="three_quarters", source=source,
        fill_color=theme.AFTER, fill_alpha=0.7, line_color=None,
    )  # fmt: skip
    figure.segment("left", "median", "right", "median", source=source, line_color=theme.ORANGE, line_width=2)
    rows = [("channel", "@channel"), ("highest", "@high_text"), ("median", "@median_text"), ("lowest", "@low_text")]
    rows.insert(2, ("middle half", "@quarter_text to @three_quarters_text"))
    theme.add_tooltip(figure, rows, whiskers, boxes)
    return SpreadChart(figure, source)
