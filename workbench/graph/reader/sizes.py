"""Size expressions: a closed grammar of symbols, whole numbers and arithmetic, which is recognised and never evaluated.

What runs computes its sizes by nodes of the graph, so all that is read from an expression is that it is one.

    expression = term (("+" | "-" | "*" | "/" | "//" | "%" | "**" | "==" | "!=" | "<" | "<=" | ">" | ">=") term)*
    term       = "-" term | number | symbol | quoted symbol | word | word "(" arguments ")" | "(" expression ")"
    arguments  = (expression | word "=" word) ("," ...)*
"""

from __future__ import annotations

import re
from functools import lru_cache

from workbench.errors import WorkbenchError

LONGEST, DEEPEST = 1000, 20  # characters, brackets within brackets
WORDS = """
Symbol Integer Rational Float Add Mul Pow Max Min Mod PythonMod FloorDiv CleanDiv IntTrueDiv FloatTrueDiv ToFloat
CeilToInt FloorToInt TruncToInt RoundToInt ceiling floor Abs Where Eq Ne Le Lt Ge Gt And Or Not Equality Unequality
integer positive nonnegative precision True False
"""
KNOWN = frozenset(WORDS.split())
TOKEN = re.compile(
    r"\s*(?:(?P<number>\d{1,20}(?:\.\d{1,20})?)|(?P<symbol>'[suz]f?\d{1,9}'|[suz]f?\d{1,9}\b)|(?P<word>[A-Za-z]+)"
    r"|(?P<sign>\*\*|//|==|!=|<=|>=|[-+*/%<>(),=]))",
    re.ASCII,
)
BETWEEN = frozenset(("+", "-", "*", "/", "//", "%", "**", "==", "!=", "<", "<=", ">", ">="))


@lru_cache(maxsize=4096)
def check_size(text: str) -> None:
    """Raise `WorkbenchError` if a text is no size expression."""
    shown = text if len(text) <= 60 else text[:57] + "..."
    if len(text) > LONGEST:
        raise WorkbenchError(f"the graph holds {shown!r}, a size expression of more than {LONGEST} characters")
    if not _Recogniser(text).whole():
        raise WorkbenchError(f"the graph holds {shown!r}, which is no size expression")


class _Recogniser:
    """A recursive descent over the tokens of one expression."""

    def __init__(self, text: str) -> None:
        self.tokens: list[tuple[str, str]] = []
        self.place = 0
        at, text = 0, text.rstrip()
        while at < len(text):
            match = TOKEN.match(text, at)
            if match is None:
                self.tokens = []
                return
            self.tokens.append((str(match.lastgroup), match[str(match.lastgroup)]))
            at = match.end()

    def whole(self) -> bool:
        return bool(self.tokens) and self.expression(0) and self.place == len(self.tokens)

    def sign(self, *wanted: str) -> bool:
        """Step over the next token if it is one of these signs, and return whether it was."""
        matches = self.place < len(self.tokens) and self.tokens[self.place] in [("sign", sign) for sign in wanted]
        self.place += matches
        return matches

    def expression(self, depth: int) -> bool:
        if depth > DEEPEST or not self.term(depth):
            return False
        while self.sign(*BETWEEN):
            if not self.term(depth):
                return False
        return True

    def term(self, depth: int) -> bool:
        while self.sign("-"):
            pass
        if self.sign("("):
            return self.expression(depth + 1) and self.sign(")")
        if self.place == len(self.tokens):
            return False
        kind, value = self.tokens[self.place]
        self.place += 1
        if kind == "word":
            return value in KNOWN and (self.arguments(depth) if self.sign("(") else True)
        return kind != "sign"

    def arguments(self, depth: int) -> bool:
        while self.expression(depth + 1):
            if self.sign("=") and not self.term(depth):
                return False
            if self.sign(")"):
                return True
            if not self.sign(","):
                return False
        return False
