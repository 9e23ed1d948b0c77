"""A prediction beside what was measured: a number on a line, or a curve with the interval of each of its points."""

from __future__ import annotations

from collections.abc import Sequence

from bokeh.models import ColumnDataSource, DataRange1d
from bokeh.models.annotations import Whisker
from bokeh.models.annotations.arrows import TeeHead
from bokeh.plotting import figure as Figure  # the class is spelt like a function

from workbench.charts import theme


def number_line(
    guess: float | None,
    value: float,
    interval: tuple[float, float],
    axis: str,
    names: tuple[str, str] = ("your guess", "measured"),
) -> Figure:
    """Return a line with a guess and a measured value; arguments in the unit that `axis` names.

    Args:
        guess: None for none.
        value: What was measured.
        interval: Its 95 % interval.
        axis: Label of the axis.
        names: Of the two, for the legend.
    """
    shown = [value, *interval, *([] if guess is None else [guess])]
    room = 0.12 * ((max(shown) - min(shown)) or abs(value) or 1.0)
    figure = theme.plot(x=axis, height=118, y_range=(-1, 1), x_range=(min(shown) - room, max(shown) + room))
    figure.yaxis.visible = False
    figure.ygrid.visible = False
    bar = ColumnDataSource({"y": [0.0], "low": [interval[0]], "high": [interval[1]]})
    figure.hbar(
        y="y",
        left="low",
        right="high",
        height=0.5,
        source=bar,
        fill_color=theme.AFTER,
        fill_alpha=0.25,
        line_color=None,
    )
    figure.scatter(
        [value], [0], marker="dash", angle=1.5708, size=22, line_width=3, color=theme.AFTER, legend_label=names[1]
    )
    if guess is not None:
        figure.scatter([guess], [0], marker="inverted_triangle", size=14, color=theme.ORANGE, legend_label=names[0])
    theme.place_legend(figure)
    return figure


def drawn_curve(
    xs: Sequence[float],
    guess: Sequence[float] | None,
    values: Sequence[float],
    intervals: Sequence[tuple[float, float]],
    axes: tuple[str, str],
    names: tuple[str, str] = ("your curve", "measured"),
) -> Figure:
    """Return a sketched curve and the measured one.

    Args:
        xs: Of both, from left to right.
        guess: None where nothing was drawn.
        values: What was measured.
        intervals: Its 95 % intervals.
        axes: Labels of the axes.
        names: Of the two, for the legend.
    """
    figure = theme.plot(x=axes[0], y=axes[1], height=250)
    if isinstance(figure.x_range, DataRange1d):
        figure.x_range.flipped = xs[0] > xs[-1]  # as it was sketched: bits, for one, are asked for from many to few
    source = ColumnDataSource(
        {"x": list(xs), "y": list(values), "low": [one[0] for one in intervals], "high": [one[1] for one in intervals]}
    )
    if guess is not None:
        figure.line(
            list(xs), list(guess), line_color=theme.ORANGE, line_width=2, line_dash="6 4", legend_label=names[0]
        )
        figure.scatter(list(xs), list(guess), size=7, color=theme.ORANGE)
    figure.line("x", "y", source=source, line_color=theme.AFTER, line_width=2.5, legend_label=names[1])
    marks = figure.scatter("x", "y", source=source, size=8, color=theme.AFTER)
    head = TeeHead(size=8, line_color=theme.AFTER)
    figure.add_layout(
        Whisker(
            base="x", lower="low", upper="high", source=source, line_color=theme.AFTER, upper_head=head, lower_head=head
        )
    )
    theme.place_legend(figure)
    theme.add_tooltip(figure, [(axes[0], "@x"), (axes[1], "@y{0.0}"), ("95 %", "@low{0.0} to @high{0.0}")], marks)
    return figure
