"""The legend of a colour scale."""

from __future__ import annotations

from bokeh.models import LinearColorMapper
from bokeh.models.annotations import ColorBar
from bokeh.plotting import figure as Figure  # the class is spelt like a function

from workbench.charts import theme


def add_color_bar(figure: Figure, mapper: LinearColorMapper, title: str = "") -> ColorBar:
    """Put the scale of `mapper` to the right of a figure, and return it."""
    bar = ColorBar(
        color_mapper=mapper,
        title=title,
        width=10,
        background_fill_color=None,
        major_label_text_color=theme.TEXT,
        major_label_text_font=theme.FONT,
        title_text_color=theme.TEXT,
        title_text_font=theme.FONT,
        title_text_font_style="normal",
        title_text_font_size="12px",
    )
    figure.add_layout(bar, "right")
    return bar
