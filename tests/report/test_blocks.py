import pytest

from workbench.report.blocks import Heading, Listing, Notes, Prose, Section, Strong, Table, Tile, Tiles, Verbatim

HOSTILE = "<b>`|*_[x](y)\n# z"
BLOCKS = (
    Heading(HOSTILE),
    Prose([HOSTILE, Strong(HOSTILE), Verbatim(HOSTILE)]),
    Notes([HOSTILE]),
    Tiles([Tile(HOSTILE, HOSTILE, HOSTILE, HOSTILE)]),
    Table((HOSTILE, "b"), [(HOSTILE, [Verbatim(HOSTILE)])]),
    Listing(HOSTILE),
)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: type(block).__name__)
def test_every_string_is_escaped_in_html(block):
    assert "<b>" not in block.html()
    assert "&lt;" in block.html()


@pytest.mark.parametrize("block", BLOCKS[:-1], ids=lambda block: type(block).__name__)
def test_every_string_is_escaped_in_markdown(block):
    text = block.markdown()
    assert "<b>" not in text
    assert "[x](y)" not in text.replace("\\[", "").replace("`", "") or "`" in text
    assert "\n# z" not in text


def test_a_table_keeps_its_columns_whatever_is_in_it():
    lines = Table(("a", "b"), [("x|y", [Verbatim("p|q")])], numeric=(1,)).markdown().splitlines()
    assert lines == ["| a | b |", "| --- | ---: |", "| x\\|y | `p·q` |"]


def test_a_fence_is_longer_than_what_it_holds():
    assert Listing("a\n```\nb").markdown().startswith("````python")


def test_a_section_is_shown_in_both():
    shown = Section([Prose("a"), Prose("b")])._repr_mimebundle_()
    assert shown["text/markdown"] == "a\n\nb\n"
    assert shown["text/html"].count("<p") == 2
