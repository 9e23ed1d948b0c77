"""The panel's pieces of HTML. How they look is in `static/panel.css`."""

from __future__ import annotations

from html import escape
from pathlib import Path

STYLE = f"<style>{(Path(__file__).parent / 'static' / 'panel.css').read_text(encoding='utf-8')}</style>"


def tile(title: str, value: str, line: str, how: str, verdict: str = "") -> str:
    """Return one tile as HTML; `verdict` is "good", "bad" or "" and colours the line's first part."""
    first, _, rest = line.partition("|")
    marked = f"<span class='wb-{verdict}'>{escape(first)}</span>" if verdict else escape(first)
    return (
        f"<div class='wb-tile'><h4>{escape(title)}<em>{escape(how)}</em></h4>"
        f"<b>{escape(value)}</b><p>{marked} {escape(rest)}</p></div>"
    )


def tiles(made: list[str]) -> str:
    """Return a row of tiles."""
    return f"<div class='wb-tiles'>{''.join(made)}</div>"


def note(text: str, kind: str = "note") -> str:
    """Return a strip with untrusted text; `kind` is "note", "error" or "done"."""
    return f"<div class='wb-{kind}'>{escape(text)}</div>" if text else ""
