"""Which knobs mattered in a search: how each one's setting goes along with the loss of the score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bokeh.models import ColumnDataSource, FactorRange
from bokeh.models.annotations import Span
from bokeh.plotting import figure as Figure  # the class is spelt like a function

from workbench import formatting
from workbench.charts import theme
from workbench.charts.labels import axis_labels
from workbench.search.planner import Mattered


def knob_data(rows: Sequence[Mattered]) -> dict[str, list[Any]]:
    """Return one row a knob: its rank correlation with the loss, and what chance would reach."""
    return {
        "label": axis_labels([row.knob for row in rows]),
        "value": [row.correlation for row in rows],
        "low": [-row.noise for row in rows],
        "high": [row.noise for row in rows],
        "color": [theme.BLUE if row.clear else theme.UNSURE for row in rows],
        "words": [
            f"{formatting.minus(f'{row.correlation:+.2f}')}, {'more' if row.clear else 'no more'} than chance gives "
            f"(±{row.noise:.2f} with {row.count} candidates)"
            for row in rows
        ],
    }


@dataclass(frozen=True)
class KnobChart:
    """The figure and what feeds it."""

    figure: Figure
    source: ColumnDataSource

    def show(self, rows: Sequence[Mattered]) -> None:
        """Draw other knobs, the strongest on top."""
        self.source.data = knob_data(rows)
        self.figure.y_range.update(factors=self.source.data["label"][::-1])
        self.figure.height = theme.MARGIN + theme.ROW * max(len(rows), 1)


def knob_chart(rows: Sequence[Mattered] = ()) -> KnobChart:
    """Return bars of rank correlations; what lies within the pale band is no more than chance gives."""
    figure = theme.plot(x="rank correlation with the loss", y_range=FactorRange(), x_range=(-1.05, 1.05))
    source = ColumnDataSource(knob_data(()))
    figure.hbar("label", left="low", right="high", height=0.8, source=source, color=theme.FAINT, alpha=0.35)
    bars = figure.hbar("label", right="value", left=0, height=0.45, source=source, color="color")
    figure.add_layout(Span(dimension="height", location=0.0, line_color=theme.LINE, line_width=1))
    figure.ygrid.visible = False
    theme.add_tooltip(figure, [("", "@label"), ("", "@words")], bars)
    chart = KnobChart(figure, source)
    chart.show(rows)
    return chart
