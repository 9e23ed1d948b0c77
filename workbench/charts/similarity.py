"""How alike the output channels of a weight are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from bokeh.models import ColumnDataSource
from bokeh.plotting import figure as Figure  # the class is spelt like a function
from torch import Tensor

from workbench.charts import theme
from workbench.charts.color_bar import add_color_bar

MOST = 512


def similarity_data(matrix: Tensor | None) -> dict[str, list[Any]]:
    """Return the image's columns. Of more than 512 channels only every n-th is drawn."""
    values = np.zeros((1, 1), np.float32) if matrix is None else matrix.numpy().astype(np.float32)
    step = -(-len(values) // MOST)
    image = values[::step, ::step]
    return {"image": [image], "start": [-0.5], "size": [len(values)]}


@dataclass(frozen=True)
class SimilarityChart:
    """The figure and what feeds it."""

    figure: Figure
    source: ColumnDataSource

    def show(self, matrix: Tensor | None) -> None:
        """Draw another weight's matrix [C, C]."""
        self.source.data = similarity_data(matrix)
        end = self.source.data["size"][0] - 0.5
        self.figure.x_range.update(end=end)
        self.figure.y_range.update(start=end)


def similarity_chart(matrix: Tensor | None = None, height: int = 420) -> SimilarityChart:
    """Return the heat-map of cosine similarities, -1 to 1."""
    figure = theme.plot(
        x="output channel",
        y="output channel",
        height=height,
        x_range=(-0.5, 0.5),
        y_range=(0.5, -0.5),
    )
    source = ColumnDataSource(similarity_data(None))
    mapper = theme.color_scale(theme.SIGNS, theme.DARK_SIGNS, low=-1.0, high=1.0)
    image = figure.image(
        image="image",
        x="start",
        y="start",
        dw="size",
        dh="size",
        source=source,
        color_mapper=mapper,  # type: ignore[call-arg]  # Bokeh's stub has only `palette`, its code has both
    )
    add_color_bar(figure, mapper, "cosine")
    figure.grid.visible = False
    theme.add_tooltip(figure, [("channels", "$x{0} and $y{0}"), ("cosine", "@image{0.000}")], image)
    chart = SimilarityChart(figure, source)
    chart.show(matrix)
    return chart
