"""How much faster on each runtime, with the interval that says whether it is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bokeh.models import ColumnDataSource, FactorRange
from bokeh.models.annotations import Span
from bokeh.plotting import figure as Figure  # the class is spelt like a function

from workbench import formatting
from workbench.charts import theme
from workbench.charts.labels import axis_labels, runtime_title
from workbench.measure import Latency, Verdict

COLORS: dict[Verdict, str] = {
    "faster": theme.GOOD,
    "slower": theme.BAD,
    "within noise": theme.UNSURE,
    "unknown": theme.UNSURE,
    "baseline": theme.BEFORE,
}


def latency_data(latencies: Mapping[str, Latency]) -> dict[str, list[Any]]:
    """Return one row a runtime: the ratio of times, its interval, and what the tooltip says.

    Where nothing is known there is nothing to draw (NaN), and the words say why.
    """
    rows = list(latencies.values())
    known = _known(latencies)
    return {
        "label": axis_labels([runtime_title(row.runtime) for row in rows]),
        "ratio": [row.ratio if row in known else math.nan for row in rows],
        "low": [row.ratio_low if row in known else math.nan for row in rows],
        "high": [row.ratio_high if row in known else math.nan for row in rows],
        # Words stand to the right of the line at 1, so that it does not cross them.
        "edge": [max(row.ratio_high, 1.0) if row in known else 1.0 for row in rows],
        "color": [COLORS[row.verdict] for row in rows],
        "verdict": [formatting.verdict(row) for row in rows],
        "time": [
            f"{formatting.latency(row.median)}, middle half within {formatting.latency(row.spread)}" for row in rows
        ],
        "how": [f"batch {row.batch}, {row.threads} threads, {row.device}, {row.pairs} pairs" for row in rows],
    }


def _known(latencies: Mapping[str, Latency]) -> list[Latency]:
    return [row for row in latencies.values() if row.verdict != "unknown"]


@dataclass(frozen=True)
class LatencyChart:
    """The figure and what feeds it."""

    figure: Figure
    source: ColumnDataSource

    def show(self, latencies: Mapping[str, Latency]) -> None:
        """Draw another state's latencies."""
        self.source.data = latency_data(latencies)
        self.figure.y_range.update(factors=self.source.data["label"][::-1])
        # One must be seen beside the ratios, and a ratio that hardly differs must not look as if it did.
        low = min([0.8, *(row.ratio_low for row in _known(latencies))])
        high = max([1.25, *(row.ratio_high for row in _known(latencies))])
        self.figure.x_range.update(start=low - 0.05 * (high - low), end=high + 0.6 * (high - low))
        self.figure.height = theme.MARGIN + 40 * max(len(latencies), 1)


def latency_chart(latencies: Mapping[str, Latency] | None = None) -> LatencyChart:
    """Return the chart of ratios, baseline's time over this one's; the line is at 1, no difference."""
    figure = theme.plot(x="times as fast as the baseline", y_range=FactorRange(), x_range=(0.8, 1.25))
    source = ColumnDataSource(latency_data({}))
    figure.add_layout(Span(dimension="height", location=1.0, line_color=theme.TEXT, line_dash="4 3", line_width=1.5))
    lines = figure.segment("low", "label", "high", "label", source=source, line_color="color", line_width=4)
    marks = figure.scatter("ratio", "label", source=source, size=12, color="color")
    figure.text("edge", "label", "verdict", source=source, x_offset=12, text_color=theme.TEXT, **theme.WORDS)
    figure.ygrid.visible = False
    rows = [("runtime", "@label"), ("", "@verdict"), ("time", "@time"), ("measured with", "@how")]
    theme.add_tooltip(figure, rows, lines, marks)
    chart = LatencyChart(figure, source)
    chart.show(latencies or {})
    return chart
