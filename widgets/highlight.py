"""Code cut into runs of one kind each, for a page to colour; the text stays text."""

from __future__ import annotations

from html import escape

from pygments.lexers import get_lexer_by_name
from pygments.token import Token

# The first that a token belongs to; a key of JSON is a name's tag.
KINDS = (
    (Token.Keyword, "keyword"),
    (Token.Operator.Word, "keyword"),
    (Token.Literal.String, "string"),
    (Token.Literal.Number, "number"),
    (Token.Comment, "comment"),
    (Token.Name.Tag, "property"),
)


def runs(text: str, language: str) -> list[list[str]]:
    """Return a text as [kind, text] pairs that follow each other; the kind of what is not coloured is ""."""
    found: list[list[str]] = []
    lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
    for token, part in lexer.get_tokens(text):
        kind = next((name for family, name in KINDS if token in family), "")
        if found and (found[-1][0] == kind or not part.strip()):
            found[-1][1] += part
        else:
            found.append([kind, part])
    return found


def html(text: str, language: str) -> str:
    """Return a text as HTML whose spans have the classes of `views.css`."""
    return "".join(
        f"<span class='wb-code-{kind}'>{escape(part)}</span>" if kind else escape(part)
        for kind, part in runs(text, language)
    )
