"""The panel's pieces of HTML. How they look is in `static/panel.css`."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

STYLE = f"<style>{(Path(__file__).parent / 'static' / 'panel.css').read_text(encoding='utf-8')}</style>"


def tile(title: str, value: str, line: str, how: str, verdict: str = "", trace: str = "") -> str:
    """Return one tile as HTML; `verdict` is "good", "bad" or "" and colours the line's first part.

    `how` says where the value comes from, and `trace` is the `history_line` beside it.
    """
    first, _, rest = line.partition("|")
    marked = f"<span class='wb-{verdict}'>{escape(first)}</span>" if verdict else escape(first)
    return (
        f"<div class='wb-tile'><h4>{escape(title)}<em>{escape(how)}</em></h4>"
        f"<div class='wb-value'><b>{escape(value)}</b>{trace}</div><p>{marked} {escape(rest)}</p></div>"
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


def tiles(tiles_html: list[str]) -> str:
    """Return a row of tiles."""
    return f"<div class='wb-tiles'>{''.join(tiles_html)}</div>"


def note(text: str, kind: str = "note") -> str:
    """Return a strip with untrusted text; `kind` is "note", "error" or "done"."""
    said = " role='alert' tabindex='0'" if kind == "error" else ""
    return f"<div class='wb-{kind}'{said}>{escape(text)}</div>" if text else ""
