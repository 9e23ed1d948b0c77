"""Strata: samples that are likely to behave alike, told from the baseline alone.

Those that the baseline gets right are apart from those it gets wrong, because the ones can only be lost and the others
only be won; and each by the baseline's margin, because those near the decision boundary change first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from workbench.task.metric import Metric

# Strata hold these parts of the samples, from the smallest margins on: most changes happen in the first ones.
EDGES_RIGHT = (0.0, 0.05, 0.2, 1.0)
EDGES_WRONG = (0.0, 1.0)


@dataclass(frozen=True, eq=False)
class Stratum:
    """Samples that are likely to behave alike.

    Attributes:
        numbers: int64 [n], shuffled, so that the first of them are a random sample of all.
        low: The most that one of them can lose against the baseline, as a difference; -inf if there is no limit.
        high: The most that one can gain.
    """

    numbers: Tensor
    low: float = -math.inf
    high: float = math.inf

    def __len__(self) -> int:
        return len(self.numbers)


def stratify(results: Tensor, margin: Tensor, metric: Metric, seed: int = 0) -> tuple[Stratum, ...]:
    """Return the strata of a baseline with these results and margins, each [N]."""
    generator = torch.Generator().manual_seed(seed)
    least, most = metric.bounds or (-math.inf, math.inf)
    best, worst = results >= most, results <= least
    strata = []
    for chosen, edges in ((best, EDGES_RIGHT), (worst, EDGES_WRONG), (~best & ~worst, EDGES_RIGHT)):
        numbers = chosen.nonzero().flatten()
        order = numbers[margin[numbers].argsort(stable=True)]
        for low, high in pairwise(sorted({round(edge * len(order)) for edge in edges})):
            part = order[low:high][torch.randperm(high - low, generator=generator)]
            strata.append(Stratum(part, float((least - results[part]).min()), float((most - results[part]).max())))
    return tuple(strata)
