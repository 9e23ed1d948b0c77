"""Metrics of sums, scored anytime: the exact value is theirs, and intervals hold it while samples are left out."""

import pytest
import torch

from workbench.jobs.progress import Progress
from workbench.measure import anytime
from workbench.measure.evaluator import Evaluator
from workbench.measure.linear import Linear
from workbench.measure.reference import refer
from workbench.measure.sampling import FINAL_LOOK
from workbench.measure.sequential import score
from workbench.steps import State
from workbench.task.classes import Classes
from workbench.task.metric import Metric
from workbench.task.samples import ArraySamples

COUNT, LENGTH, CLASSES = 900, 6, 4


def population(seed, changed):
    """Return outputs before and after, and targets, of sequences of different lengths."""
    generator = torch.Generator().manual_seed(seed)
    targets = torch.randint(0, CLASSES, (COUNT, LENGTH), generator=generator)
    before = torch.randn(COUNT, LENGTH, CLASSES, generator=generator)
    before.scatter_add_(-1, targets.unsqueeze(-1), torch.full((COUNT, LENGTH, 1), 2.0))
    lengths = torch.randint(1, LENGTH + 1, (COUNT, 1), generator=generator)
    targets[torch.arange(LENGTH) >= lengths] = -100
    noise = torch.randn(before.shape, generator=generator)
    hit = torch.rand(COUNT, 1, 1, generator=generator) < changed
    return before, torch.where(hit, before + 2 * noise, before + 0.1 * noise), targets


class Identity(torch.nn.Module):
    """Gives what it is given, so that a population's outputs are a model's."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))

    def forward(self, x):
        return x * self.scale


def referred(name, before, targets):
    metric = Metric.of(name, Classes(-1))
    return refer(Evaluator(ArraySamples(before, targets)), State(Identity()), metric)


def predicting(after, targets):
    return lambda numbers: (after[numbers], targets[numbers])


@pytest.mark.parametrize("name", ["accuracy", "f1", "miou", "perplexity", "bits"])
def test_the_last_look_is_exact(name):
    before, after, targets = population(0, 0.3)
    reference = referred(name, before, targets)
    metric, numbers = reference.metric, torch.arange(COUNT)
    assert reference.score.value == pytest.approx(metric.score(before, targets, numbers))
    *partial, last = anytime(predicting(after, targets), reference, Progress())
    assert last.exact
    assert last.value == pytest.approx(metric.score(after, targets, numbers), rel=1e-9)
    assert last.change == pytest.approx(last.value - reference.score.value, abs=1e-9)
    assert last.low == last.high == pytest.approx(last.value)
    bounded = metric.limits is not None
    assert all(found.known == bounded for found in partial)
    assert (last.population_low is not None) == bounded
    if bounded:
        assert last.population_low < last.change < last.population_high


@pytest.mark.parametrize("name", ["accuracy", "miou"])
@pytest.mark.parametrize("changed", [0.02, 0.3])
def test_intervals_hold_the_exact_value_while_samples_are_left_out(name, changed):
    """Of 60 populations each, at the look that is told and at every one; the nominal part is 95 %."""
    told = held = looked = within = 0
    for seed in range(60):
        before, after, targets = population(seed, changed)
        reference = referred(name, before, targets)
        truth = reference.metric.score(after, targets, torch.arange(COUNT))
        stopped = score(predicting(after, targets), reference, tolerance=0.02)
        told, held = told + 1, held + (stopped.low - 1e-9 <= truth <= stopped.high + 1e-9)
        for found in anytime(predicting(after, targets), reference, looks=FINAL_LOOK):
            looked, within = looked + 1, within + (found.low - 1e-9 <= truth <= found.high + 1e-9)
    assert held >= 0.93 * told
    assert within >= 0.93 * looked


def test_a_ratio_near_its_sums_is_linear():
    metric = Metric.of("accuracy")
    base, drift = torch.tensor([60.0, 100.0], dtype=torch.float64), torch.tensor([-3.0, 0.0], dtype=torch.float64)
    slope = Linear.at(metric, base, drift)
    assert slope.change == pytest.approx(-0.03)
    assert slope.gradient.tolist() == pytest.approx([0.01, -0.585 / 100], rel=1e-3)
    sums = torch.tensor([[1.0, 2.0], [2.0, 2.0]], dtype=torch.float64)
    low, high = slope.limits(metric, sums)
    assert low.tolist() == pytest.approx([-0.01, -0.02], rel=1e-3)
    assert high.tolist() == pytest.approx([0.01, 0.0], rel=1e-3, abs=1e-12)


@pytest.mark.parametrize(("name", "changed"), [("accuracy", 0.02), ("miou", 0.3)])
def test_intervals_for_other_data_hold_its_change(name, changed):
    """All samples of a split are seen; what a hundred times as many give is what other data would."""
    parts = [population(1000 + seed, changed) for seed in range(100)]
    metric = Metric.of(name, Classes(-1))
    before, after, targets = (torch.cat([part[place] for part in parts]) for place in range(3))
    numbers = torch.arange(len(targets))
    truth = metric.score(after, targets, numbers) - metric.score(before, targets, numbers)
    held = 0
    for one, other, right in parts:
        found = score(predicting(other, right), referred(name, one, right))
        held += found.population_low <= truth <= found.population_high
    assert held >= 0.93 * len(parts)
