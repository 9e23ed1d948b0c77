"""The one mark-up that texts of lessons have: *a word that matters*."""

from __future__ import annotations

import re
from html import escape

MARKED = re.compile(r"\*(?=\S)([^*]+?)(?<=\S)\*")


def emphasised(text: str) -> str:
    """Return a text as HTML, with what is marked in it emphasised."""
    return MARKED.sub(r"<em>\1</em>", escape(text))


def plain(text: str) -> str:
    """Return a text without its marks."""
    return MARKED.sub(r"\1", text)
