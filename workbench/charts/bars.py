"""What each layer takes, before and after: parameters, MACs or bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bokeh.models import ColumnDataSource, FactorRange, NumeralTickFormatter
from bokeh.plotting import figure as Figure  # the class is spelt like a function

from workbench import formatting
from workbench.charts import theme
from workbench.charts.labels import axis_labels
from workbench.charts.units import byte_unit, count_unit

Quantity = Literal["parameters", "MACs a sample", "bytes"]
Row = tuple[str, float, float | None]


def bars_data(rows: Sequence[Row], quantity: Quantity = "parameters") -> dict[str, list[Any]]:
    """Return one row a layer of (name, before, after); `after` is None where there is only one state."""
    divisor = _unit(rows, quantity)[0]
    write = formatting.size if quantity == "bytes" else formatting.count
    after = [before if now is None else now for _, before, now in rows]
    return {
        "label": axis_labels([name for name, _, _ in rows]),
        "layer": [name for name, _, _ in rows],
        "before": [before / divisor for _, before, _ in rows],
        "after": [value / divisor for value in after],
        "before_text": [write(before) for _, before, _ in rows],
        "after_text": [write(value) for value in after],
        "kept": [formatting.percent(now / row[1], 1) if row[1] else "–" for row, now in zip(rows, after, strict=True)],
    }


def _unit(rows: Sequence[Row], quantity: Quantity) -> tuple[float, str]:
    top = max((max(before, now or 0) for _, before, now in rows), default=0)
    return byte_unit(top) if quantity == "bytes" else count_unit(top)


@dataclass(frozen=True)
class LayerBars:
    """The figure, what feeds it, and what its bars count."""

    figure: Figure
    source: ColumnDataSource
    quantity: Quantity

    def show(self, rows: Sequence[Row]) -> None:
        """Draw other layers."""
        unit = _unit(rows, self.quantity)[1]
        self.source.data = bars_data(rows, self.quantity)
        self.figure.y_range.update(factors=self.source.data["label"][::-1])
        self.figure.height = theme.rows_height(len(rows))
        name = unit if self.quantity == "bytes" else f"{self.quantity}, {unit}" if unit else self.quantity
        self.figure.xaxis.axis_label = name


def layer_bars(rows: Sequence[Row] = (), quantity: Quantity = "parameters") -> LayerBars:
    """Return bars of one quantity: the pale wide bar is before, the narrow one after."""
    figure = theme.plot(x=quantity, y_range=FactorRange())
    figure.x_range.update(start=0)
    figure.xaxis.formatter = NumeralTickFormatter(format="0,0.[00]")
    source = ColumnDataSource(bars_data(()))
    wide = figure.hbar(
        y="label", right="before", height=0.78, source=source, legend_label="before",
        fill_color=theme.BEFORE, fill_alpha=0.45, line_color=None,
    )  # fmt: skip
    narrow = figure.hbar(
        y="label", right="after", height=0.42, source=source, legend_label="after",
        fill_color=theme.AFTER, line_color=None,
    )  # fmt: skip
    theme.place_legend(figure)
    figure.ygrid.visible = False
    rows_shown = [("layer", "@layer"), ("before", "@before_text"), ("after", "@after_text"), ("kept", "@kept")]
    theme.add_tooltip(figure, rows_shown, wide, narrow)
    chart = LayerBars(figure, source, quantity)
    chart.show(rows)
    return chart
