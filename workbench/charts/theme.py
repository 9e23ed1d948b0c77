"""How every figure looks: colours, fonts, sizes. Nothing here knows what is drawn.

Colours are those of Okabe and Ito, "Color Universal Design", 2008, which people with any kind of colour vision
tell apart. Backgrounds are transparent and text is of a middle grey, so that figures are readable on a light
page and on a dark one.
"""

from __future__ import annotations

from typing import Any, Literal

from bokeh.core.properties import value
from bokeh.models import HoverTool, LinearColorMapper
from bokeh.palettes import interp_palette
from bokeh.plotting import figure as Figure  # the class is spelt like a function

ORANGE, SKY, GREEN, BLUE = "#E69F00", "#56B4E9", "#009E73", "#0072B2"
VERMILION, PURPLE, YELLOW = "#D55E00", "#CC79A7", "#F0E442"
SERIES = (BLUE, ORANGE, GREEN, PURPLE, VERMILION, SKY, YELLOW)

TEXT, LINE, FAINT = "#7a7a7a", "#9a9a9a", "#b5b5b5"
BEFORE, AFTER, PREVIEW = "#a6a6a6", BLUE, ORANGE
GOOD, BAD, UNSURE = GREEN, VERMILION, LINE

# From nearly nothing lost to a lot; lightness falls all the way, so it also reads in grey.
LOSSES = (
    "#f3f1e7", "#f7e3bd", "#f9d291", "#f8bd68", "#f3a44a", "#ea8a35", "#dc7024", "#c85a1a", "#ad4613", "#8f350f",
)  # fmt: skip
IMPOSSIBLE = "#c9c9c9"
# The same on a dark page, where what is strong is light: as loud on black as the others are on white.
DARK_LOSSES = (
    "#262524", "#3a2a1c", "#553517", "#734313", "#925212", "#b06419", "#cb7a2a", "#e29444", "#f3b06a", "#fccf9b",
)  # fmt: skip
# From one sign over none to the other; the ends differ in lightness from the middle and in hue from each other.
SIGNS, DARK_SIGNS = (VERMILION, "#f3f1e7", BLUE), ("#FF9A62", "#262524", "#6CBEF0")
# Of words on coloured cells; a dark page exchanges them with the palette.
ON_WEAK, ON_STRONG = "#4a4a4a", "#fefefe"

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
# Of text that is drawn with the data; `value`, because a plain string would be the name of a column.
WORDS: dict[str, Any] = {"text_font": value(FONT), "text_font_size": value("12px"), "text_baseline": "middle"}
HEIGHT, ROW, MARGIN = 260, 24, 70
SHADES = 121


def plot(*, x: str = "", y: str = "", height: int = HEIGHT, **options: Any) -> Figure:
    """Return an empty figure in the house style.

    Args:
        x: Label of the x axis, with the unit.
        y: Label of the y axis, with the unit.
        height: Pixels; the width is that of the page.
        options: As `bokeh.plotting.figure` takes them, such as ranges and axis types.
    """
    figure = Figure(
        height=height,
        sizing_mode="stretch_width",
        toolbar_location=None,
        tools="",
        x_axis_label=x or None,
        y_axis_label=y or None,
        **options,
    )
    return style(figure)


def style(figure: Figure) -> Figure:
    """Return the figure, which now has the house's colours, fonts and lines."""
    figure.background_fill_color = figure.border_fill_color = None
    figure.outline_line_color = None
    figure.min_border_right = 24
    for axis in figure.axis:
        axis.axis_line_color = axis.major_tick_line_color = LINE
        axis.minor_tick_line_color = None
        axis.axis_label_text_color = axis.major_label_text_color = TEXT
        axis.axis_label_text_font = axis.major_label_text_font = FONT
        axis.axis_label_text_font_style = "normal"
        axis.axis_label_text_font_size = axis.major_label_text_font_size = "12px"
    for grid in figure.grid:
        grid.grid_line_color, grid.grid_line_alpha = LINE, 0.22
    return figure


def place_legend(figure: Figure, place: Literal["above", "right"] = "above") -> None:
    """Move the figure's legend out of the data's way, in the house style; there has to be one."""
    legend = figure.legend[0]
    figure.add_layout(legend, place)
    legend.update(
        orientation="horizontal" if place == "above" else "vertical",
        location="top_left",
        background_fill_color=None,
        border_line_color=None,
        label_text_color=TEXT,
        label_text_font=FONT,
        label_text_font_size="12px",
        spacing=2 if place == "right" else 16,
        padding=2,
        margin=2,
        glyph_height=14,
        glyph_width=14,
    )


def add_tooltip(figure: Figure, rows: list[tuple[str, str]], *renderers: Any) -> None:
    """Let rows of (label, "@column") appear over `renderers`.

    A plain "@column" is escaped by BokehJS, so names of models and layers stay text; `{safe}` must not be used.
    """
    # Spelt out, because an empty list would mean every renderer there is.
    figure.add_tools(HoverTool(tooltips=rows, renderers=list(renderers), point_policy="follow_mouse"))


def color_scale(light: tuple[str, ...], dark: tuple[str, ...], **options: Any) -> LinearColorMapper:
    """Return a scale of many steps between the colours; the page takes those of `dark` where it is dark.

    Args:
        light: Colours from the lowest value to the highest.
        dark: Likewise.
        options: As `LinearColorMapper` takes them, such as `low` and `high`.
    """
    return LinearColorMapper(
        palette=interp_palette(light, SHADES), tags=["dark", *interp_palette(dark, SHADES)], **options
    )


def rows_height(rows: int) -> int:
    """Return the height in pixels of a figure with that many named rows."""
    return MARGIN + ROW * max(rows, 1)
