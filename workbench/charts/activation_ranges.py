"""The range of what comes out of each layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bokeh.models import ColumnDataSource, FactorRange
from bokeh.plotting import figure as Figure  # the class is spelt like a function

from workbench import formatting
from workbench.charts import theme
from workbench.charts.labels import axis_labels
from workbench.inspection import Activations


def activation_data(activations: Sequence[Activations]) -> dict[str, list[Any]]:
    """Return one row a layer: range, mean and standard deviation, and what the tooltip says."""
    return {
        "label": axis_labels([row.layer for row in activations]),
        "layer": [row.layer for row in activations],
        "low": [row.low for row in activations],
        "high": [row.high for row in activations],
        "mean": [row.mean for row in activations],
        "left": [max(row.mean - row.std, row.low) for row in activations],
        "right": [min(row.mean + row.std, row.high) for row in activations],
        "range": [f"{row.low:.4g} to {row.high:.4g}" for row in activations],
        "middle": [f"{row.mean:.4g} ± {row.std:.4g}" for row in activations],
        "idle": [
            ", ".join(
                f"{formatting.percent(share, 1)} {words}"
                for share, words in ((row.never_positive, "never above zero"), (row.constant, "constant"))
            )
            for row in activations
        ],
        "where": [f"{row.samples:,} {row.split} samples" for row in activations],
    }


@dataclass(frozen=True)
class ActivationChart:
    """The figure and what feeds it."""

    figure: Figure
    source: ColumnDataSource

    def show(self, activations: Sequence[Activations]) -> None:
        """Draw other layers."""
        self.source.data = activation_data(activations)
        self.figure.y_range.update(factors=self.source.data["label"][::-1])
        self.figure.height = theme.rows_height(len(activations))


def activation_chart(activations: Sequence[Activations] = ()) -> ActivationChart:
    """Return the chart of ranges: the thin line is everything, the bar is mean ± standard deviation."""
    figure = theme.plot(x="activation", y_range=FactorRange())
    source = ColumnDataSource(activation_data(()))
    lines = figure.segment("low", "label", "high", "label", source=source, line_color=theme.LINE, line_width=2)
    bars = figure.hbar(
        y="label", left="left", right="right", height=0.5, source=source,
        fill_color=theme.AFTER, fill_alpha=0.75, line_color=None,
    )  # fmt: skip
    figure.scatter("mean", "label", source=source, size=6, color=theme.ORANGE)
    figure.ygrid.visible = False
    rows = [("layer", "@layer"), ("range", "@range"), ("mean ± deviation", "@middle")]
    theme.add_tooltip(figure, [*rows, ("units", "@idle"), ("seen on", "@where")], lines, bars)
    chart = ActivationChart(figure, source)
    chart.show(activations)
    return chart
