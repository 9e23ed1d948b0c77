"""Finite populations of results whose true score is known, as references and forwards."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from workbench.measure import Reference
from workbench.measure.strata import stratify
from workbench.task.metric import Metric
from workbench.task.samples import Samples

ACCURACY = Metric("top-1 accuracy", lambda outputs, _: outputs, "%", bounds=(0.0, 1.0))


class Numbers(Samples):
    """Samples that are their own numbers."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def batch(self, indices) -> tuple[tuple[Tensor, ...], Tensor]:
        chosen = torch.as_tensor(indices)
        return (chosen,), chosen


# The parts of the samples, by rising margin, whose shares of changes are given.
EDGES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 1.0)


@dataclass
class Population:
    """The results of two models on the same samples, numbered by rising margin of the first."""

    before: Tensor
    after: Tensor
    metric: Metric = ACCURACY

    @property
    def truth(self) -> float:
        return float(self.after.double().mean())

    def reference(self, seed: int) -> Reference:
        """Return the baseline's results, with the strata in an order that depends on the seed."""
        before = self.before.double()
        strata = stratify(before, torch.arange(len(before)), self.metric, seed)
        return Reference("validation", Numbers(len(before)), self.metric, before, strata)

    def predict(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        return self.after[numbers].double(), numbers


def flips(total: int, shares: list[float], right: float = 0.95, gained: float = 0.3, seed: int = 0) -> Population:
    """Return a classifier of which the part `shares[i]` of stratum i changed, `gained` of these for the better.

    As with real classifiers, samples of small margin are more often wrong to begin with.
    """
    generator = torch.Generator().manual_seed(seed)
    draw = torch.rand(total, generator=generator)
    place = torch.arange(total) / total
    wrong_at = torch.where(place < 0.2, 3 * (1 - right), 0.5 * (1 - right))
    before = (draw > wrong_at).double()
    after = before.clone()
    cuts = sorted({round(edge * total) for edge in EDGES})
    for (low, high), share in zip(pairwise(cuts), shares, strict=True):
        count = round(share * (high - low))
        chosen = low + torch.randperm(high - low, generator=generator)[:count]
        better = torch.rand(count, generator=generator) < gained
        after[chosen] = torch.where(better, torch.ones(count), torch.zeros(count)).double()
    return Population(before, after)
