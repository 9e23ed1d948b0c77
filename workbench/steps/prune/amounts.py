"""Amounts of their own for some layers, as one text: "layer2.*=0.5, layer3.*=0.25"."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase

from workbench.errors import WorkbenchError

Own = tuple[tuple[str, float], ...]
FORM = '"layer2.*=0.5, layer3.*=0.25"'


def own_amounts(text: str, high: float, counts: str = "") -> Own:
    """Return the (glob, amount) pairs of a text, in its order.

    Args:
        text: Globs and amounts, with "=" within a pair and commas between pairs; "" for none.
        high: The largest accepted part.
        counts: What a whole number, which then is accepted too and comes back as an int, is a number of.

    Raises:
        WorkbenchError: The text is of another form, or an amount out of range.
    """
    amounts: list[tuple[str, float]] = []
    for entry in filter(None, (part.strip() for part in text.split(","))):
        glob, _, value = (part.strip() for part in entry.rpartition("="))
        if counts and glob and re.fullmatch(r"\d{1,9}", value):
            amounts.append((glob, int(value)))
        elif glob and re.fullmatch(r"\d*\.?\d+", value) and float(value) <= high:
            amounts.append((glob, float(value)))
        else:
            also = f" or a whole number of {counts}" if counts else ""
            raise WorkbenchError(
                f"by_layer must be layers with the part of each that goes, 0 to {high:g}{also}, such as {FORM}; "
                f"not {entry!r}"
            )
    return tuple(amounts)


def own_amount(own: Own, names: Iterable[str]) -> float | None:
    """Return the amount of the first pair that matches one of these names, None if none does."""
    listed = list(names)
    return next((amount for glob, amount in own if any(fnmatchcase(name, glob) for name in listed)), None)


def refuse_unmatched(own: Own, names: Collection[str]) -> None:
    """Raise an error if a pair matches none of the names."""
    for glob, _ in own:
        if not any(fnmatchcase(name, glob) for name in names):
            some = ", ".join(list(names)[:5]) + (", …" if len(names) > 5 else "")
            raise WorkbenchError(f"by_layer: nothing that can go matches {glob!r}; there are {some}")
