"""How alike two rankings are.

Spearman's rank correlation (Spearman: "The Proof and Measurement of Association between Two Things", 1904).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

from torch import Tensor

Scores = Mapping[str, Tensor]


def rank_correlation(one: Scores, other: Scores) -> float | None:
    """Return Spearman's rank correlation within parts, as the mean over parts by their number of units.

    A part in which one of the two gives all units the same score does not count; None if none is left.
    """
    from scipy.stats import spearmanr  # slow to import

    total, count = 0.0, 0
    for name, scores in one.items():
        pair = [value.flatten().double().numpy() for value in (scores, other[name])]
        if all(values.max() > values.min() for values in pair):
            total += len(pair[0]) * float(spearmanr(*pair).statistic)
            count += len(pair[0])
    return total / count if count else None


def correlations(kinds: Sequence[str], ranked: Mapping[str, Scores]) -> tuple[tuple[float | None, ...], ...]:
    """Return the rank correlation of every two criteria, both orders and each with itself; None with one without."""
    pairs: dict[tuple[str, str], float | None] = {}
    for first, second in combinations(ranked, 2):
        pairs[first, second] = pairs[second, first] = rank_correlation(ranked[first], ranked[second])
    pairs |= {(kind, kind): 1.0 for kind in ranked}
    return tuple(tuple(pairs.get((first, second)) for second in kinds) for first in kinds)
