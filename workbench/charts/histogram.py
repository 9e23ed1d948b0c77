"""A weight's values before and after, with the grid they are rounded to and the threshold they are cut at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bokeh.models import BasicTicker, ColumnDataSource, NumeralTickFormatter
from bokeh.models.annotations import BoxAnnotation
from bokeh.models.annotations.geometry import AreaVisuals, BoxInteractionHandles
from bokeh.plotting import figure as Figure  # the class is spelt like a function

from workbench.charts import theme
from workbench.inspection import Histogram


def histogram_data(histogram: Histogram | None) -> dict[str, list[Any]]:
    """Return the columns of a histogram's bars: left, right, top, and what the tooltip says."""
    if histogram is None:
        return {"left": [], "right": [], "top": [], "span": [], "count": []}
    left, right = list(histogram.edges[:-1]), list(histogram.edges[1:])
    return {
        "left": left,
        "right": right,
        "top": list(histogram.counts),
        "span": [f"{low:.4g} to {high:.4g}" for low, high in zip(left, right, strict=True)],
        "count": [f"{count:,}" for count in histogram.counts],
    }


def overflow_data(histograms: Sequence[Histogram], top: float) -> dict[str, list[Any]]:
    """Return marks for bars higher than the axis, which say how high they are."""
    high = [(n, histogram) for histogram in histograms for n, count in enumerate(histogram.counts) if count > top]
    return {
        "x": [(histogram.edges[n] + histogram.edges[n + 1]) / 2 for n, histogram in high],
        "y": [top for _ in high],
        "text": [f"▲ {histogram.counts[n]:,}" for n, histogram in high],
    }


def axis_top(histograms: Sequence[Histogram]) -> float:
    """Return where the axis of counts ends: the zeros of a pruned weight must not flatten all the rest."""
    counts = sorted((count for histogram in histograms for count in histogram.counts), reverse=True)
    if len(counts) < 2:
        return float(max(counts, default=1) or 1) * 1.15
    return float((counts[0] if counts[0] <= 2 * counts[1] else counts[1]) or 1) * 1.15


@dataclass(frozen=True)
class WeightHistogram:
    """The figure and what feeds it. Whoever shows it may let people drag the sides of `cut` and `clip`."""

    figure: Figure
    before: ColumnDataSource
    after: ColumnDataSource
    grid: ColumnDataSource
    overflow: ColumnDataSource
    cut: BoxAnnotation
    clip: BoxAnnotation

    def show(
        self,
        before: Histogram | None,
        after: Histogram | None = None,
        grid: Sequence[float] = (),
        threshold: float | None = None,
        clip: tuple[float, float] | None = None,
    ) -> None:
        """Draw other values.

        Args:
            before: Of the baseline.
            after: Of what is compared with it, over the same span.
            grid: Values that a quantized weight can take.
            threshold: Magnitude below which weights are pruned.
            clip: Bounds beyond which weights are clipped.
        """
        self.show_values(before, after, grid)
        self.mark(threshold, clip)

    def show_values(self, before: Histogram | None, after: Histogram | None = None, grid: Sequence[float] = ()) -> None:
        """Draw other values and leave the bounds where they are; arguments as those of `show`."""
        drawn = [histogram for histogram in (before, after) if histogram is not None]
        top = axis_top(drawn)
        self.before.data = histogram_data(before)
        self.after.data = histogram_data(after)
        self.overflow.data = overflow_data(drawn, top)
        self.grid.data = {"x": list(grid), "y": [0.0] * len(grid), "value": [f"{value:.4g}" for value in grid]}
        self.figure.y_range.update(end=top)
        if drawn:
            self._frame()

    def _frame(self) -> None:
        # With room for the hand beside the outermost marks.
        ends = [end for data in (self.before.data, self.after.data) for end in (*data["left"][:1], *data["right"][-1:])]
        ends += [self.clip.left, self.clip.right] if self.clip.visible else []
        if not ends:
            return
        room = 0.03 * (max(ends) - min(ends))
        self.figure.x_range.update(start=min(ends) - room, end=max(ends) + room)

    def mark(self, threshold: float | None = None, clip: tuple[float, float] | None = None) -> None:
        """Move the bounds only; arguments as those of `show`."""
        cut = None if threshold is None else (-threshold, threshold)
        for box, bounds in ((self.cut, cut), (self.clip, clip)):
            box.visible = bounds is not None
            if bounds is not None:
                box.update(left=bounds[0], right=bounds[1])
        self._frame()


def weight_histogram(
    before: Histogram | None = None,
    after: Histogram | None = None,
    grid: Sequence[float] = (),
    threshold: float | None = None,
    clip: tuple[float, float] | None = None,
    height: int = theme.HEIGHT,
) -> WeightHistogram:
    """Return the chart of one weight; arguments as those of `WeightHistogram.show`."""
    figure = theme.plot(x="weight", y="values", height=height, x_range=(-1, 1), y_range=(0, 1))
    figure.yaxis.formatter = NumeralTickFormatter(format="0,0")
    figure.xaxis.ticker = BasicTicker(desired_num_ticks=5)
    figure.yaxis.ticker = BasicTicker(desired_num_ticks=4)
    sources = [ColumnDataSource(histogram_data(None)) for _ in range(2)]
    bars = []
    for source, label, color, alpha in zip(
        sources, ("before", "after"), (theme.BEFORE, theme.AFTER), (0.55, 0.6), strict=True
    ):
        bars.append(
            figure.quad(
                left="left", right="right", top="top", bottom=0, source=source, legend_label=label,
                fill_color=color, fill_alpha=alpha, line_color=None,
            )
        )  # fmt: skip
    ticks = ColumnDataSource({"x": [], "y": [], "value": []})
    figure.scatter("x", "y", source=ticks, marker="dash", angle=1.5708, size=12, line_color=theme.ORANGE, line_width=1)
    marks = ColumnDataSource({"x": [], "y": [], "text": []})
    figure.text("x", "y", "text", source=marks, x_offset=-4, y_offset=6, text_color=theme.TEXT, **theme.WORDS)
    cut, cropped = _bounds(theme.VERMILION, inverted=False), _bounds(theme.PURPLE, inverted=True)
    figure.add_layout(cut)
    figure.add_layout(cropped)
    theme.place_legend(figure)
    theme.add_tooltip(figure, [("weights", "@span"), ("values", "@count")], *bars)
    chart = WeightHistogram(figure, sources[0], sources[1], ticks, marks, cut, cropped)
    chart.show(before, after, grid, threshold, clip)
    return chart


def _bounds(color: str, inverted: bool) -> BoxAnnotation:
    grip = AreaVisuals(
        fill_color=color, fill_alpha=0.9, line_color="#ffffff", hover_fill_color=color, hover_line_color="#000000"
    )
    return BoxAnnotation(
        left=0, right=0, visible=False, inverted=inverted, level="overlay", resizable="x", movable="none",
        line_color=color, line_width=1.5, line_dash="6 3", fill_color=color, fill_alpha=0.08, hover_fill_color=color,
        hover_fill_alpha=0.12, hover_line_color=color, hover_line_width=2.5, hover_line_dash="6 3",
        handles=BoxInteractionHandles(all=grip),
    )  # fmt: skip
