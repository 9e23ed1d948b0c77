"""Time for one sample against the number of samples in a batch, before and after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bokeh.models import ColumnDataSource
from bokeh.plotting import figure as Figure  # the class is spelt like a function

from workbench import formatting
from workbench.charts import theme
from workbench.measure import Latency


def batch_data(latencies: Sequence[Latency]) -> dict[str, list[Any]]:
    """Return one row a batch size: milliseconds a sample before and after, and the words of their ratio."""
    return {
        "batch": [row.batch for row in latencies],
        "before": [1000 * row.baseline_median / row.batch for row in latencies],
        "after": [1000 * row.median / row.batch for row in latencies],
        "verdict": [formatting.verdict(row) for row in latencies],
        "whole": [formatting.latency(row.median) for row in latencies],
        "how": [f"{row.threads} threads, {row.device}, {row.pairs} pairs" for row in latencies],
        # What is not known is drawn hollow.
        "fill": [0.0 if row.verdict == "unknown" else 1.0 for row in latencies],
    }


@dataclass(frozen=True)
class BatchCurve:
    """The figure and what feeds it."""

    figure: Figure
    source: ColumnDataSource

    def show(self, latencies: Sequence[Latency]) -> None:
        """Draw other latencies, one for each batch size."""
        self.source.data = batch_data(latencies)
        self.figure.xaxis.ticker = self.source.data["batch"] or [1]


def batch_curve(latencies: Sequence[Latency] = ()) -> BatchCurve:
    """Return the chart; both axes are logarithmic, since batches double."""
    figure = theme.plot(
        x="samples in a batch (hollow: unknown)", y="milliseconds a sample", x_axis_type="log", y_axis_type="log"
    )
    source, marks = ColumnDataSource(batch_data(())), []
    for column, color, label in (("before", theme.BEFORE, "before"), ("after", theme.AFTER, "after")):
        figure.line("batch", column, source=source, color=color, line_width=2, legend_label=label)
        dots = figure.scatter("batch", column, source=source, size=9, color=color, fill_alpha="fill")
        marks.append(dots)
    theme.place_legend(figure)
    rows = [("samples", "@batch"), ("", "@verdict"), ("a batch", "@whole"), ("measured with", "@how")]
    theme.add_tooltip(figure, rows, *marks)
    chart = BatchCurve(figure, source)
    chart.show(latencies)
    return chart
