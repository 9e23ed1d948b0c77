"""How the score of each class changed, with intervals; the mean beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bokeh.models import ColumnDataSource, FactorRange
from bokeh.models.annotations import Span
from bokeh.models.renderers import GlyphRenderer
from bokeh.plotting import figure as Figure  # the class is spelt like a function

from workbench import formatting
from workbench.charts import theme
from workbench.charts.labels import axis_labels
from workbench.measure.impact import ClassChange, Impact

MOST = 40


def shown_classes(impact: Impact | None) -> Sequence[ClassChange]:
    """Return the classes that are drawn, the worst first; of many only the worst 40."""
    if impact is None:
        return ()
    sign = 1 if impact.higher_is_better else -1
    return sorted(impact.classes, key=lambda row: (not row.broken, sign * row.change))[:MOST]


def class_data(impact: Impact | None) -> dict[str, list[Any]]:
    """Return one row a class: its change and interval in points (or the metric's unit), and its words."""
    shown = shown_classes(impact)
    unit = impact.unit if impact else ""
    factor = 100.0 if unit == "%" else 1.0
    return {
        "name": axis_labels([row.name for row in shown]),
        "label": [row.label for row in shown],
        "change": [row.change * factor for row in shown],
        "low": [row.low * factor for row in shown],
        "high": [row.high * factor for row in shown],
        "color": [theme.BAD if row.broken else theme.AFTER for row in shown],
        "marker": ["inverted_triangle" if row.broken else "circle" for row in shown],
        "title": [row.name for row in shown],
        "count": [f"{row.count:,}" for row in shown],
        "before": [formatting.score_value(row.before, unit) for row in shown],
        "after": [formatting.score_value(row.after, unit) for row in shown],
        "words": [
            f"{formatting.points(row.change, unit)} [{row.low * factor:+.2f}, {row.high * factor:+.2f}]"
            for row in shown
        ],
    }


@dataclass(frozen=True)
class ClassChart:
    """The figure, what feeds it, the mark of the mean, and what can be tapped."""

    figure: Figure
    source: ColumnDataSource
    mean: Span
    marks: GlyphRenderer[Any]

    def show(self, impact: Impact | None) -> None:
        """Draw another impact."""
        self.source.data = class_data(impact)
        rows = self.source.data["name"]
        self.figure.y_range.update(factors=rows[::-1])
        self.figure.height = theme.rows_height(len(rows))
        self.mean.visible = impact is not None
        if impact is not None:
            factor, unit = (100.0, "points") if impact.unit == "%" else (1.0, impact.unit or impact.metric)
            mean = (impact.after - impact.before) * factor
            self.mean.location = mean
            said = formatting.minus(f"{mean:+.2f}")
            self.figure.xaxis.axis_label = f"change of {impact.metric}, {unit} (dashed: the mean, {said})"
            ends = [*self.source.data["low"], *self.source.data["high"], mean, 0.0]
            room = max((max(ends) - min(ends)) * 0.06, 1e-9)
            self.figure.x_range.update(start=min(ends) - room, end=max(ends) + room)


def class_chart(impact: Impact | None = None) -> ClassChart:
    """Return the chart of class changes; broken classes are of another colour and shape."""
    figure = theme.plot(x="change", y_range=FactorRange(), x_range=(-1, 1))
    source = ColumnDataSource(class_data(None))
    mean = Span(dimension="height", location=0, line_color=theme.LINE, line_dash="dashed", line_width=1.5)
    figure.add_layout(Span(dimension="height", location=0, line_color=theme.LINE, line_width=1))
    figure.add_layout(mean)
    figure.segment("low", "name", "high", "name", source=source, line_color="color", line_width=2.5)
    marks = figure.scatter("change", "name", source=source, marker="marker", size=11, color="color")
    figure.ygrid.visible = False
    rows = [("class", "@title"), ("samples", "@count"), ("before", "@before"), ("now", "@after"), ("change", "@words")]
    theme.add_tooltip(figure, rows, marks)
    chart = ClassChart(figure, source, mean, marks)
    chart.show(impact)
    return chart
