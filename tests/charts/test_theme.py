"""What a dark page takes instead of the colours for a light one."""

from pathlib import Path

from workbench.charts import theme

FIGURE = Path(__file__).parents[2] / "widgets" / "static" / "figure.js"


def brightness(color: str) -> int:
    return sum(int(color[place : place + 2], 16) for place in (1, 3, 5))


def test_a_scale_brings_as_many_dark_colours_as_light_ones() -> None:
    scale = theme.color_scale(theme.LOSSES, theme.DARK_LOSSES, low=0.0, high=1.0)
    assert scale.tags[0] == "dark"
    assert len(scale.tags) - 1 == len(scale.palette) == theme.SHADES


def test_a_loss_stands_out_more_the_larger_it_is_on_either_ground() -> None:
    light, dark = ([brightness(color) for color in colors] for colors in (theme.LOSSES, theme.DARK_LOSSES))
    assert light == sorted(light, reverse=True)
    assert dark == sorted(dark)


def test_the_page_knows_what_stands_for_the_words_on_cells_and_the_grey_of_what_cannot_be_done() -> None:
    swapped = next(line for line in FIGURE.read_text(encoding="utf-8").splitlines() if line.startswith("const ON_DARK"))
    for color in (theme.ON_WEAK, theme.ON_STRONG, theme.IMPOSSIBLE, theme.BLUE, theme.VERMILION, theme.GREEN):
        assert f'"{color}":' in swapped
