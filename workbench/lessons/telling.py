"""Tests that explain: what a learner's function gives, beside what it should and beside well-known mistakes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

# Differences that two right ways of computing the same may have.
ABSOLUTE, RELATIVE = 1e-5, 1e-4


def expect(found: Any, right: Any, mistakes: Mapping[str, Any] | None = None, *, what: str = "the result") -> None:
    """Pass if a learner's result is right; say what is wrong with it if it is not.

    Args:
        found: What the learner's function gave: a tensor, number, or tuple of such.
        right: What it should give.
        mistakes: What well-known mistakes give, by the sentence that explains each.
        what: What the result is called.

    Raises:
        AssertionError: It is not right; the message says which mistake it is, or where it differs first.
    """
    if not (problem := _differs(found, right, what)):
        return
    for said, wrong in (mistakes or {}).items():
        if not _differs(found, wrong, what):
            raise AssertionError(said)
    raise AssertionError(problem)


def _differs(found: Any, right: Any, what: str) -> str:
    """Return how two things differ, "" if they agree."""
    if found is None or found is NotImplemented:
        return f"{what} is None: does your function return anything?"
    if isinstance(right, tuple):
        if not isinstance(found, tuple | list) or len(found) != len(right):
            return f"{what} should be {len(right)} things, as in `return a, b`"
        parts = (_differs(one, other, f"{what}, part {n + 1}") for n, (one, other) in enumerate(zip(found, right)))  # noqa: B905  # as long
        return next(filter(None, parts), "")
    if isinstance(right, str) or not isinstance(right, Tensor | int | float):
        return "" if found == right else f"{what} is {found!r}, and should be {right!r}"
    try:
        one, other = (torch.as_tensor(value).to(torch.float64) for value in (found, right))
    except (TypeError, ValueError, RuntimeError):
        return (
            f"{what} is a {type(found).__name__}, and should be a {'tensor' if isinstance(right, Tensor) else 'number'}"
        )
    if one.shape != other.shape:
        return f"{what} has the shape {tuple(one.shape)}, and should have {tuple(other.shape)}"
    wrong = ~torch.isclose(one, other, RELATIVE, ABSOLUTE, equal_nan=True)
    if not wrong.any():
        return ""
    if not other.ndim:
        return f"{what} is {float(one):.6g}, and should be {float(other):.6g}"
    place = tuple(torch.nonzero(wrong)[0].tolist())
    return (
        f"{what} differs in {int(wrong.sum())} of {wrong.numel()} places, first at {list(place)}: "
        f"{float(one[place]):.6g}, where {float(other[place]):.6g} is right"
    )
