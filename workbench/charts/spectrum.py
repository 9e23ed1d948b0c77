"""Singular values of a weight, before and after."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bokeh.models import ColumnDataSource
from bokeh.models.annotations import LegendItem
from bokeh.plotting import figure as Figure  # the class is spelt like a function

from workbench import formatting
from workbench.charts import theme
from workbench.inspection import Spectrum

FLOOR = 1e-6


def spectrum_data(spectrum: Spectrum | None) -> dict[str, list[Any]]:
    """Return one row a singular value: rank, value over the largest, and what the tooltip says.

    Values under a millionth of the largest are left out: they are rounding, and a logarithmic axis has no zero.
    """
    if spectrum is None or not spectrum.values or not spectrum.values[0]:
        return {"rank": [], "value": [], "text": [], "held": []}
    largest = spectrum.values[0]
    shown = [(n, value, held) for n, (value, held) in enumerate(zip(spectrum.values, spectrum.held, strict=True), 1)]
    shown = [row for row in shown if row[1] >= FLOOR * largest]
    return {
        "rank": [n for n, _, _ in shown],
        "value": [value / largest for _, value, _ in shown],
        "text": [f"{value:.4g}" for _, value, _ in shown],
        "held": [formatting.percent(held, 2) for _, _, held in shown],
    }


@dataclass(frozen=True)
class SpectrumChart:
    """The figure and what feeds it; the upright lines mark effective rank and energy rank of what was drawn last."""

    figure: Figure
    before: ColumnDataSource
    after: ColumnDataSource
    effective: ColumnDataSource
    energy: ColumnDataSource

    def show(self, before: Spectrum | None, after: Spectrum | None = None) -> None:
        """Draw another weight's spectrum."""
        self.before.data, self.after.data = spectrum_data(before), spectrum_data(after)
        shown = after or before
        lowest = min(self.before.data["value"] + self.after.data["value"], default=FLOOR)
        for source, rank in (
            (self.effective, shown.effective_rank if shown else 0),
            (self.energy, shown.energy_rank if shown else 0),
        ):
            source.data = {"x": [rank, rank], "y": [lowest, 1.0]} if rank else {"x": [], "y": []}
        for item, source in zip(self.figure.legend[0].items, (self.before, self.after), strict=False):
            if isinstance(item, LegendItem):
                item.visible = bool(source.data["rank"])


def spectrum_chart(
    before: Spectrum | None = None, after: Spectrum | None = None, height: int = theme.HEIGHT
) -> SpectrumChart:
    """Return the chart of a weight's singular values: dashed line effective rank, dotted line energy rank."""
    figure = theme.plot(x="rank", y="singular value, largest = 1", height=height, y_axis_type="log")
    sources = [ColumnDataSource(spectrum_data(None)) for _ in range(2)]
    lines = []
    for source, label, color in zip(sources, ("before", "after"), (theme.BEFORE, theme.AFTER), strict=True):
        lines.append(
            figure.line("rank", "value", source=source, line_color=color, line_width=2.5, legend_label=label),
        )
    effective, energy = (ColumnDataSource({"x": [], "y": []}) for _ in range(2))
    for source, label, color, dash in (
        (effective, "effective rank", theme.ORANGE, "dashed"),
        (energy, "holds 99 % of the energy", theme.PURPLE, "dotted"),
    ):
        figure.line("x", "y", source=source, line_color=color, line_dash=dash, line_width=2, legend_label=label)
    theme.place_legend(figure)
    rows = [("rank", "@rank"), ("singular value", "@text"), ("energy held up to here", "@held")]
    theme.add_tooltip(figure, rows, *lines)
    chart = SpectrumChart(figure, sources[0], sources[1], effective, energy)
    chart.show(before, after)
    return chart
