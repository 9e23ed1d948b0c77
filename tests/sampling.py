"""Which cases of a test run every time, and which with `--whole` alone: the suite stays short, and nothing is lost."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

whole = pytest.mark.whole


def sampled(cases: Iterable[Any], number: int, *always: Any) -> list[Any]:
    """Return the cases of a test, all but some of them marked as `whole`.

    Args:
        cases: As `parametrize` takes them.
        number: Of cases that run every time, spread evenly.
        always: More that do.
    """
    given = list(cases)
    often = {place * len(given) // number for place in range(number)}
    often |= {given.index(case) for case in always}
    return [
        case if place in often else pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=whole)
        for place, case in enumerate(given)
    ]
