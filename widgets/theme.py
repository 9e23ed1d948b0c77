"""The panel's pieces of HTML. How they look is in `static/panel.css`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

STATIC = Path(__file__).parent / "static"
STYLE = "".join(
    f"<style>{(STATIC / name).read_text(encoding='utf-8')}</style>" for name in ("panel.css", "views.css", "map.css")
)


@dataclass(frozen=True)
class Tile:
    """One number in the strip above the panel.

    Attributes:
        title: What it is.
        value: The number; "…" while it is not known.
        spread: How sure it is, such as ± 0.42.
        line: How it stands against the baseline, and what else is to be said of it.
        how: Where it comes from: measured, estimated or modelled.
        verdict: "good", "bad" or "unknown", which colours the part of the line before "|"; "" for neither.
        trace: The `history_line` of it.
        help: What the word in the title means.
    """

    title: str
    value: str
    line: str
    how: str
    verdict: str = ""
    trace: str = ""
    help: str = ""
    spread: str = ""

    def html(self) -> str:
        """Return the tile as HTML; the whole of it is said under the pointer, for a thin strip has no room."""
        first, _, rest = self.line.partition("|")
        value = f"{self.title}: {self.value} {self.spread}".rstrip()
        whole = "\n".join(filter(None, (value, f"{first} {rest}".strip(), self.how, self.help)))
        spread = f" <small>{escape(self.spread)}</small>" if self.spread else ""
        how = f"<em>{escape(self.how)}</em>" if self.how else ""
        return (
            f"<div class='wb-tile wb-how-{escape(self.how or 'none')}' title='{escape(whole)}'>"
            f"<h4><span>{escape(self.title)}</span>{how}</h4>"
            f"<div class='wb-value'><b>{escape(self.value)}{spread}</b>{self.trace}</div>"
            f"<p><span class='wb-first wb-{self.verdict or 'plain'}'>{escape(first)}</span> "
            f"<span class='wb-rest'>{escape(rest)}</span></p></div>"
        )


def history_line(values: Sequence[float | None], title: str) -> str:
    """Return a small line of a quantity over the states that led here, as SVG; "" for fewer than two values.

    States that were not measured are passed over; the last value has a dot.
    """
    known = [(place, value) for place, value in enumerate(values) if value is not None]
    if len(known) < 2:
        return ""
    low, high = min(value for _, value in known), max(value for _, value in known)
    last = len(values) - 1
    points = [
        (2 + 56 * place / last, 16 - 14 * ((value - low) / (high - low) if high > low else 0.5))
        for place, value in known
    ]
    drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    x, y = points[-1]
    return (
        f"<svg class='wb-trace' viewBox='0 0 60 18' role='img' aria-label='{escape(title)}'>"
        f"<title>{escape(title)}</title><polyline points='{drawn}'/><circle cx='{x:.1f}' cy='{y:.1f}' r='2.2'/></svg>"
    )


def tiles(shown: Sequence[Tile]) -> str:
    """Return a row of tiles."""
    return f"<div class='wb-tiles'>{''.join(tile.html() for tile in shown)}</div>"


def note(text: str, kind: str = "note") -> str:
    """Return a strip with untrusted text; `kind` is "note", "error" or "done"."""
    said = " role='alert' tabindex='0'" if kind == "error" else ""
    return f"<div class='wb-{kind}'{said}>{escape(text)}</div>" if text else ""
