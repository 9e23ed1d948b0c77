"""Charts of a layer's weights that others add: a registered class is drawn in the panel and in the report."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from bokeh.plotting import figure as Figure  # the class is spelt like a function

from workbench.errors import first_line
from workbench.inspection import Histogram
from workbench.registry import Registry


class WeightChart(ABC):
    """Draws what became of one layer's weights.

    It sees histograms and no tensors, because a report is written from its record, which holds no weights.

    Class attributes:
        kind: Its name.
        title: What people read above it.
        position: Where it stands among the others.
    """

    kind: ClassVar[str]
    title: ClassVar[str]
    position: ClassVar[int] = 100

    @abstractmethod
    def figure(self, before: Histogram, after: Histogram) -> Figure:
        """Return a new figure; `workbench.charts.theme.plot` makes an empty one that looks like all others.

        Args:
            before: The untouched weights.
            after: The weights as they are now, or would be after a step, with the same edges as `before`.
        """


WEIGHT_CHARTS: Registry[WeightChart] = Registry("chart", WeightChart, instances=True)


@dataclass(frozen=True)
class DrawnChart:
    """What a registered chart gave: a figure, or None and the reason.

    Attributes:
        title: Of the chart.
        figure: What it drew.
        error: Why it drew nothing.
    """

    title: str
    figure: Figure | None
    error: str = ""


def drawn_charts(before: Histogram, after: Histogram) -> Iterator[DrawnChart]:
    """Yield every registered chart of these weights. One that fails takes neither the panel nor a report with it."""
    for chart in WEIGHT_CHARTS.values():
        try:
            yield DrawnChart(chart.title, chart.figure(before, after))
        except Exception as error:  # a stranger's chart may raise anything
            yield DrawnChart(chart.title, None, first_line(error))
