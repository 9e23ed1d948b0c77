"""Criterion by criterion: how alike two rankings of the same units are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from bokeh.models import ColumnDataSource, FactorRange
from bokeh.plotting import figure as Figure  # the class is spelt like a function

from workbench.charts import theme
from workbench.charts.color_bar import add_color_bar
from workbench.charts.labels import axis_labels
from workbench.search.contest import Contest


def agreement_data(contest: Contest | None) -> dict[str, list[Any]]:
    """Return one row a pair of criteria that ranked: its place, its correlation and how it is written."""
    rows: dict[str, list[Any]] = {name: [] for name in ("x", "y", "value", "text", "ink", "one", "other", "words")}
    if contest is None:
        return rows
    labels = _labels(contest)
    for first, one in enumerate(contest.entries):
        for second, other in enumerate(contest.entries):
            if one.reason or other.reason:
                continue
            correlation = contest.correlations[first][second] if contest.correlations else None
            rows["x"].append(labels[other.criterion])
            rows["y"].append(labels[one.criterion])
            rows["value"].append(math.nan if correlation is None else correlation)
            rows["text"].append("–" if correlation is None else f"{correlation:.2f}".replace("-", "−"))
            strong = correlation is not None and abs(correlation) > 0.7
            rows["ink"].append(theme.ON_STRONG if strong else theme.ON_WEAK)
            rows["one"].append(one.title)
            rows["other"].append(other.title)
            rows["words"].append("one of them ranks all alike" if correlation is None else f"{correlation:.3f}")
    return rows


def _labels(contest: Contest) -> dict[str, str]:
    kinds = [entry.criterion for entry in contest.entries if not entry.reason]
    return dict(zip(kinds, axis_labels([kind.replace("_", " ") for kind in kinds]), strict=True))


@dataclass(frozen=True)
class ContestMap:
    """The figure and what feeds it."""

    figure: Figure
    source: ColumnDataSource

    def show(self, contest: Contest | None) -> None:
        """Draw another contest."""
        self.source.data = agreement_data(contest)
        if contest is not None:
            labels = list(_labels(contest).values())
            self.figure.x_range.update(factors=labels)
            self.figure.y_range.update(factors=labels[::-1])
            self.figure.height = theme.rows_height(len(labels)) + 110


def contest_map(contest: Contest | None = None) -> ContestMap:
    """Return the map of Spearman's rank correlations between criteria, -1 to 1."""
    figure = theme.plot(x_range=FactorRange(), y_range=FactorRange(), x_axis_location="above")
    figure.xaxis.major_label_orientation = 0.8
    source = ColumnDataSource(agreement_data(None))
    mapper = theme.color_scale(theme.SIGNS, theme.DARK_SIGNS, low=-1.0, high=1.0, nan_color=theme.IMPOSSIBLE)
    cells = figure.rect(
        "x", "y", width=0.96, height=0.92, source=source, line_color=None,
        fill_color={"field": "value", "transform": mapper},
    )  # fmt: skip
    figure.text("x", "y", "text", source=source, text_color="ink", text_align="center", **theme.WORDS)
    add_color_bar(figure, mapper, "rank correlation")
    figure.grid.visible = False
    theme.add_tooltip(figure, [("one", "@one"), ("other", "@other"), ("correlation", "@words")], cells)
    chart = ContestMap(figure, source)
    chart.show(contest)
    return chart
