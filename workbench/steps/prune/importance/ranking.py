"""From the importance of units to those that go."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def least_important(
    scores: Mapping[str, Tensor], amount: float, together: bool, round_to: int, comparable: bool = False
) -> dict[str, list[int]]:
    """Return for every group the units to remove, `floor(amount * units)` of them, the least important first.

    `together` ranks the units of all groups, by their score relative to their group's mean where scores of different
    groups are not `comparable`, as the scale of weights differs between layers. The number that stays is rounded up to
    a multiple of `round_to`, and at least one (or `round_to`) always stays.
    """
    drop = {name: int(amount * len(score)) for name, score in scores.items()}
    if together and scores:
        flat = torch.cat(list(alike(scores, comparable).values()))
        gone = torch.zeros(len(flat), dtype=torch.bool)
        gone[flat.argsort(stable=True)[: int(amount * len(flat))]] = True
        parts = torch.split(gone, [len(score) for score in scores.values()])
        drop = {name: int(part.sum()) for name, part in zip(scores, parts, strict=True)}
    return weakest(scores, drop, round_to)


def weakest(scores: Mapping[str, Tensor], drop: Mapping[str, int], round_to: int) -> dict[str, list[int]]:
    """Return so many units of every group, the least important ones; rounding as in `least_important`."""
    removed = {}
    for name, score in scores.items():
        stay = max(len(score) - drop[name], 1)
        stay = min(-(-stay // round_to) * round_to, len(score))
        removed[name] = sorted(score.argsort(stable=True)[: len(score) - stay].tolist())
    return {name: units for name, units in removed.items() if units}


def alike(scores: Mapping[str, Tensor], comparable: bool) -> dict[str, Tensor]:
    """Return scores that can be ranked together: relative to their group's mean unless they are `comparable`."""
    return {name: score if comparable else score / score.mean().clamp(min=1e-12) for name, score in scores.items()}
