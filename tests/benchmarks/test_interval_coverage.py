"""How often intervals hold what they say, by simulation.

`pytest tests/benchmarks/test_interval_coverage.py -s --override-ini=addopts=` prints two kinds of tables. The first is
of the split: the interval at the first look, at the look that is stopped at, and at all looks up to it together, with
repeated looks and with a final one only. An interval that is not known claims nothing and holds. The others are of
other data: splits are drawn from a population, and each one's interval of the change is asked for the population's.
No seed here is one with which anything was chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.measure.populations import Numbers
from workbench.measure import Reference, anytime
from workbench.measure.population import mean_interval
from workbench.measure.sampling import FINAL_LOOK, REPEATED_LOOKS, Looks
from workbench.measure.sequential import excess
from workbench.measure.strata import stratify
from workbench.task.metric import Metric

TOTAL, RUNS, SPLITS = 5000, 300, 4000
Bounds = tuple[float, float] | None


@dataclass(frozen=True)
class Case:
    """Results of two models on one split, what the metric knows of them, and how precise an answer is wanted."""

    name: str
    before: Tensor
    after: Tensor
    bounds: Bounds
    tolerance: float


def cases() -> Iterator[Case]:
    chance = torch.Generator().manual_seed(20)

    def uniform() -> Tensor:
        return torch.rand(TOTAL, generator=chance).double()

    right = (uniform() < 0.95).double()
    for part in (0.0, 0.0005, 0.002, 0.01, 0.05, 0.3):
        yield Case(
            f"accuracy, {part:.2%} flipped", right, torch.where(uniform() < part, 1 - right, right), (0.0, 1.0), 0.01
        )
    yield Case("accuracy, 1 % lost", right, torch.where(uniform() < 0.01, torch.zeros(TOTAL), right), (0.0, 1.0), 0.01)
    overlap = 0.5 + 0.5 * uniform()
    for part in (0.002, 0.01, 0.1):
        ruined = torch.where(uniform() < part, torch.zeros(TOTAL), overlap - 0.01 * uniform())
        yield Case(f"overlap, {part:.1%} ruined", overlap, ruined, (0.0, 1.0), 0.01)
    error = 0.1 * uniform()
    tails = {
        "lognormal": 0.01 * torch.exp(2 * torch.randn(TOTAL, generator=chance).double()),
        "1 % outliers": 10.0 * (uniform() < 0.01),
        "0.2 % outliers": 50.0 * (uniform() < 0.002),
        "a little of all": 0.01 * uniform(),
    }
    for name, more in tails.items():
        tolerance = 0.05 * float((error + more).mean())
        yield Case(f"error, {name}, no bounds", error, error + more, None, tolerance)
        yield Case(f"error, {name}, bounds 0 to 100", error, error + more, (0.0, 100.0), tolerance)


def split_coverage(case: Case, looks: Looks) -> tuple[float, float, float, float]:
    """Return how often the first, the last and all intervals hold the truth, and the samples that were seen."""
    truth, held, seen = float(case.after.mean()), np.zeros(3), 0
    margin = torch.rand(TOTAL, generator=torch.Generator().manual_seed(21))  # tells nothing of what changes
    metric = Metric(case.name, lambda outputs, _: outputs, bounds=case.bounds)
    for run in range(RUNS):
        strata = stratify(case.before, margin, metric, 1000 + run)
        reference = Reference("validation", Numbers(TOTAL), metric, case.before, strata)
        holds = []
        for found in anytime(
            lambda numbers: (case.after[numbers], numbers), reference, tolerance=case.tolerance, looks=looks
        ):
            holds.append(found.low - 1e-9 <= truth <= found.high + 1e-9)
            if excess(found, case.tolerance) <= 1:
                break
        held += (holds[0], holds[-1], all(holds))
        seen += found.n
    first, last, together = held / RUNS
    return float(first), float(last), float(together), seen / RUNS


def test_intervals_of_the_split(publish) -> None:
    """For accuracy, bounded results and heavy tails; with bounds stated and without."""
    rows = []
    for case in cases():
        row: dict[str, object] = {"population": case.name}
        for name, looks in (("repeated", REPEATED_LOOKS), ("final", FINAL_LOOK)):
            first, last, together, seen = split_coverage(case, looks)
            found = {"first": first, "stop": last, "all": together, "samples": seen}
            row |= {f"{name}: {what}": value for what, value in found.items()}
        rows.append(row)
    publish(f"coverage of the split of {TOTAL}", rows)


OTHER: dict[str, tuple[float, Callable[[np.random.Generator, int], np.ndarray]]] = {
    **{
        f"accuracy, {lost:.2%} lost, {won:.2%} won": (
            won - lost,
            lambda rng, n, lost=lost, won=won: (rng.random(n) < won) * 1.0 - (rng.random(n) < lost) * 1.0,
        )
        for lost, won in ((0.0, 0.0), (0.0005, 0.0), (0.002, 0.0), (0.005, 0.002), (0.02, 0.02), (0.3, 0.05))
    },
    "overlap, 0.2 % ruined": (-0.002, lambda rng, n: -1.0 * (rng.random(n) < 0.002)),
    "overlap, 1 % lose a third": (-0.0033, lambda rng, n: -0.33 * (rng.random(n) < 0.01)),
    "overlap, all a little": (-0.005, lambda rng, n: -0.01 * rng.random(n)),
}


@pytest.mark.parametrize("total", [100, 400, 2000])
def test_intervals_for_other_data(total: int, publish) -> None:
    """Of the paired change, for populations of which splits of some sizes are drawn."""
    rows = []
    for name, (truth, draw) in OTHER.items():
        rng, held, width = np.random.default_rng(30), 0, 0.0
        for _ in range(SPLITS):
            differences = draw(rng, total)
            low, high = mean_interval(total, differences.sum(), np.square(differences).sum(), 1.0)
            held += low <= truth <= high
            width += (high - low) / 2 / SPLITS
        rows.append({"population": name, "held": held / SPLITS, "mean half-width": width})
    publish(f"coverage for other data, splits of {total}", rows)
