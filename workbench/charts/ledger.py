"""Where the bytes went: a waterfall from the baseline's file to this one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bokeh.models import ColumnDataSource, FactorRange, NumeralTickFormatter
from bokeh.plotting import figure as Figure  # the class is spelt like a function

from workbench import formatting
from workbench.charts import theme
from workbench.charts.labels import axis_labels
from workbench.charts.units import byte_unit
from workbench.measure import Size

LAST = "this file"


def ledger_data(size: Size | None) -> dict[str, list[Any]]:
    """Return one row a bar, from the baseline's file down to this one; lengths in the axis' unit."""
    ledger = size.ledger if size else ()
    divisor, _ = byte_unit(largest(size))
    edges = [(0, ledger[0][1])] if ledger else []
    for _, change in ledger[1:]:
        edges.append((edges[-1][1], edges[-1][1] + change))
    if size:
        edges.append((0, size.total))
    names = [what for what, _ in ledger] + ([LAST] if size else [])
    totals = {0, len(names) - 1}
    changes = [right - left for left, right in edges]
    colors = [
        (theme.BEFORE if n == 0 else theme.AFTER) if n in totals else _tone(change) for n, change in enumerate(changes)
    ]
    return {
        "label": axis_labels(names, 40),
        "left": [min(pair) / divisor for pair in edges],
        "right": [max(pair) / divisor for pair in edges],
        "color": colors,
        "text": [_words(change, n in totals) for n, change in enumerate(changes)],
        "exact": [f"{change:{',' if n in totals else '+,'}} bytes" for n, change in enumerate(changes)],
    }


def largest(size: Size | None) -> float:
    """Return the right end of the longest bar, bytes."""
    level, top = 0, 1
    for _, change in size.ledger if size else ():
        level += change
        top = max(top, level)
    return float(top)


def _tone(change: int) -> str:
    return theme.GOOD if change < 0 else theme.BAD if change else theme.FAINT


def _words(change: int, total: bool) -> str:
    if total:
        return formatting.size(change)
    return "no change" if not change else f"{'+' if change > 0 else '−'}{formatting.size(abs(change))}"


@dataclass(frozen=True)
class LedgerChart:
    """The figure and what feeds it."""

    figure: Figure
    source: ColumnDataSource

    def show(self, size: Size | None) -> None:
        """Draw another state's ledger."""
        divisor, unit = byte_unit(largest(size))
        self.source.data = ledger_data(size)
        self.figure.y_range.update(factors=self.source.data["label"][::-1])
        self.figure.x_range.update(end=largest(size) / divisor * 1.32)  # room for a label in a narrow panel
        self.figure.xaxis.axis_label = f"file, {unit}"
        self.figure.height = theme.rows_height(len(self.source.data["label"])) + 30


def ledger_chart(size: Size | None = None) -> LedgerChart:
    """Return the waterfall of a size's ledger."""
    figure = theme.plot(x="file, bytes", y_range=FactorRange(), x_range=(0, 1))
    figure.xaxis.formatter = NumeralTickFormatter(format="0,0.[0]")
    source = ColumnDataSource(ledger_data(None))
    bars = figure.hbar(
        y="label", left="left", right="right", height=0.62, source=source, fill_color="color", line_color="color"
    )
    figure.text("right", "label", "text", source=source, x_offset=6, text_color=theme.TEXT, **theme.WORDS)
    figure.ygrid.visible = False
    theme.add_tooltip(figure, [("", "@label"), ("exactly", "@exact")], bars)
    chart = LedgerChart(figure, source)
    chart.show(size)
    return chart
