"""What a report is made of, and its two lowerings: HTML and Markdown.

Text from outside, such as the name of a model, comes in as plain strings, and both lowerings escape every string.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from bokeh.embed import components
from bokeh.plotting import figure as Figure  # the class is spelt like a function


@dataclass(frozen=True)
class Strong:
    """Text that stands out."""

    text: str


@dataclass(frozen=True)
class Verbatim:
    """Text of a fixed width: names of layers, and code."""

    text: str


Fragment = str | Strong | Verbatim
Sentence = str | Sequence[Fragment]


class Block(Protocol):
    """A part of a report."""

    def html(self) -> str:
        """Return the part as HTML that needs nothing else than BokehJS on the page."""

    def markdown(self) -> str:
        """Return the part as Markdown."""


@dataclass(frozen=True)
class Heading:
    """The title of the report."""

    text: Sentence

    def html(self) -> str:
        return f"<h1>{as_html(self.text)}</h1>"

    def markdown(self) -> str:
        return f"# {as_markdown(self.text)}"


@dataclass(frozen=True)
class Prose:
    """A paragraph."""

    text: Sentence
    role: str = ""

    def html(self) -> str:
        return f'<p class="{html.escape(self.role)}">{as_html(self.text)}</p>'

    def markdown(self) -> str:
        return as_markdown(self.text)


@dataclass(frozen=True)
class Notes:
    """A list of remarks."""

    items: Sequence[Sentence]

    def html(self) -> str:
        return f"<ul>{''.join(f'<li>{as_html(item)}</li>' for item in self.items)}</ul>"

    def markdown(self) -> str:
        return "\n".join(f"- {as_markdown(item)}" for item in self.items)


@dataclass(frozen=True)
class Tile:
    """One number of the first screen: what it is, its value, what it was, and how it is known."""

    label: str
    value: str
    detail: str
    how: str = "measured"
    tone: str = ""


@dataclass(frozen=True)
class Tiles:
    """The numbers of the first screen."""

    items: Sequence[Tile]

    def html(self) -> str:
        cards = [
            f'<div class="tile {html.escape(tile.tone)}"><span class="label">{html.escape(tile.label)}'
            f"{_mark(tile.how)}</span><strong>{html.escape(tile.value)}</strong>"
            f'<span class="detail">{html.escape(tile.detail)}</span></div>'
            for tile in self.items
        ]
        return f'<div class="tiles">{"".join(cards)}</div>'

    def markdown(self) -> str:
        rows = [(tile.label, tile.value, tile.detail, tile.how) for tile in self.items]
        return Table(("", "value", "", "how"), rows, numeric=(1,)).markdown()


@dataclass(frozen=True)
class Table:
    """Rows under a header.

    Attributes:
        header: Names of the columns.
        rows: Cells, one for each column.
        numeric: Columns that are set to the right.
        last: Whether the last row is a sum.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[Sentence]]
    numeric: Sequence[int] = ()
    last: bool = False

    def html(self) -> str:
        head = "".join(f"<th{self._side(n)}>{as_html(name)}</th>" for n, name in enumerate(self.header))
        body = "".join(f"<tr{self._sum(n)}>{self._cells(row)}</tr>" for n, row in enumerate(self.rows))
        return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'

    def markdown(self) -> str:
        lines = [" | ".join(as_markdown(name) for name in self.header)]
        lines.append(" | ".join("---:" if n in self.numeric else "---" for n in range(len(self.header))))
        lines += [" | ".join(as_markdown(cell) for cell in row) for row in self.rows]
        return "\n".join(f"| {line} |" for line in lines)

    def _cells(self, row: Sequence[Sentence]) -> str:
        return "".join(f"<td{self._side(n)}>{as_html(cell)}</td>" for n, cell in enumerate(row))

    def _side(self, column: int) -> str:
        return ' class="number"' if column in self.numeric else ""

    def _sum(self, row: int) -> str:
        return ' class="sum"' if self.last and row == len(self.rows) - 1 else ""


@dataclass(frozen=True)
class Listing:
    """Code."""

    text: str
    language: str = "python"

    def html(self) -> str:
        from pygments import highlight  # type: ignore[import-untyped]  # no stubs
        from pygments.formatters import HtmlFormatter  # type: ignore[import-untyped]  # no stubs
        from pygments.lexers import get_lexer_by_name  # type: ignore[import-untyped]  # no stubs

        return str(highlight(self.text, get_lexer_by_name(self.language), HtmlFormatter(cssclass="code")))

    def markdown(self) -> str:
        # A fence has to be longer than any run of backticks inside.
        fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", self.text)), 3)
        return f"{fence}{self.language}\n{self.text.rstrip()}\n{fence}"


@dataclass(frozen=True)
class Chart:
    """Figures with their numbers: the page draws them, and a text shows the table."""

    figures: Sequence[tuple[str, Figure]]
    table: Table
    caption: Sentence = ""

    def html(self) -> str:
        script, divisions = components([figure for _, figure in self.figures])
        titled = [
            f"<div>{f'<h4>{html.escape(title)}</h4>' if title else ''}{division}</div>"
            for (title, _), division in zip(self.figures, divisions, strict=True)
        ]
        kind = "grid" if len(self.figures) > 1 else "single"
        return (
            f'<figure class="{kind}"><div class="plots">{"".join(titled)}</div>{script}'
            f"<figcaption>{as_html(self.caption)}</figcaption></figure>"
            f"<details><summary>The numbers of this chart</summary>{self.table.html()}</details>"
        )

    def markdown(self) -> str:
        return "\n\n".join(part for part in (as_markdown(self.caption), self.table.markdown()) if part)


@dataclass(frozen=True)
class Section:
    """Parts in order; a notebook shows them as the value of a cell."""

    blocks: Sequence[Block]

    def html(self) -> str:
        """Return the parts as HTML."""
        return f'<div class="workbench-report">{"".join(block.html() for block in self.blocks)}</div>'

    def markdown(self) -> str:
        """Return the parts as Markdown."""
        return "\n\n".join(block.markdown() for block in self.blocks) + "\n"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        text = self.markdown()
        return {"text/html": self.html(), "text/markdown": text, "text/plain": text}


def as_html(sentence: Sentence) -> str:
    """Return a sentence as HTML; every string in it is escaped."""
    if isinstance(sentence, str):
        return html.escape(sentence)
    tags = {Strong: "strong", Verbatim: "code"}
    return "".join(
        html.escape(part) if isinstance(part, str)
        else f"<{tags[type(part)]}>{html.escape(part.text)}</{tags[type(part)]}>"
        for part in sentence
    )  # fmt: skip


def as_markdown(sentence: Sentence) -> str:
    """Return a sentence as Markdown; what Markdown or HTML would act on is escaped in every string."""
    if isinstance(sentence, str):
        return _plain(sentence)
    return "".join(
        _plain(part)
        if isinstance(part, str)
        else f"**{_plain(part.text)}**"
        if isinstance(part, Strong)
        else _code(part.text)
        for part in sentence
    )


def _plain(text: str) -> str:
    one_line = " ".join(text.split()) if "\n" in text or "\r" in text else text
    escaped = re.sub(r"([\\`*_\[\]|$#~])", r"\\\1", one_line)
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _code(text: str) -> str:
    # Inside of backticks nothing can be escaped, so what would end the code or the table's cell is left out.
    return f"`{re.sub(r'[`|<>]+', '·', ' '.join(text.split())) or '-'}`"


def _mark(how: str) -> str:
    return "" if how == "measured" else f" <em>{html.escape(how)}</em>"
