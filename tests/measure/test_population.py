"""What a split says of other data: the interval holds the mean change of the population that splits are drawn from."""

import numpy as np
import pytest
import torch

from tests.measure.populations import Population, flips
from workbench.measure import Score, anytime, refer
from workbench.measure.evaluator import Evaluator
from workbench.measure.population import mean_interval
from workbench.measure.sequential import score
from workbench.steps import State
from workbench.task.metric import Metric

SPLITS, LEAST = 2000, 0.93
# Parts of all samples that are lost and won.
RATES = {"none": (0, 0), "rare": (0.001, 0), "few": (0.005, 0.001), "both ways": (0.03, 0.03), "many": (0.4, 0.1)}
# Differences of results between 0 and 1: mostly small ones, and a part that is ruined.
BOUNDED = {
    "small, all for the worse": lambda rng, n: -0.05 * rng.random(n),
    "0.2 % ruined": lambda rng, n: -1.0 * (rng.random(n) < 0.002) - 0.001 * rng.random(n),
    "0.5 % lose a third": lambda rng, n: -0.33 * (rng.random(n) < 0.005),
    "skewed": lambda rng, n: -np.minimum(0.01 * rng.lognormal(0.0, 2.0, n), 1.0),
}


def interval(differences):
    return mean_interval(len(differences), differences.sum(), np.square(differences).sum(), 1.0)


def coverage(draw, truth, total=400, seed=0):
    """Return the share of splits whose interval holds the mean of the population."""
    rng, held = np.random.default_rng(seed), 0
    for _ in range(SPLITS):
        low, high = interval(draw(rng, total))
        held += low <= truth <= high
    return held / SPLITS


@pytest.mark.parametrize("name", RATES)
def test_flips_of_other_data_are_held(name):
    lost, won = RATES[name]

    def draw(rng, total):
        place = rng.random(total)
        return (place < won).astype(float) - (place > 1 - lost)

    assert coverage(draw, won - lost) >= LEAST


@pytest.mark.parametrize("name", BOUNDED)
def test_bounded_changes_of_other_data_are_held(name):
    truth = float(BOUNDED[name](np.random.default_rng(1), 4_000_000).mean())
    assert coverage(BOUNDED[name], truth) >= LEAST


def test_what_did_not_change_in_the_split_may_change_elsewhere():
    low, high = interval(np.zeros(400))
    assert -0.011 < low < -0.009  # three changes in 400 would have been missed 5 times in 100
    assert high == -low
    assert interval(np.array([-1.0]))[0] == -1.0


def test_an_exact_score_says_what_to_expect_of_other_data():
    population = flips(2000, [0.1] * 6)
    *early, last = anytime(population.predict, population.reference(0))
    assert all(found.population_low is found.population_high is None for found in early)
    assert last.population_low < last.change < last.population_high
    assert (last.low, last.high) == (last.value, last.value)


def test_the_baseline_itself_does_not_change_on_any_data(images):
    reference = refer(Evaluator(images.task.split("validation")), State(images.model), images.task.metric)
    assert (reference.score.population_low, reference.score.population_high) == (0.0, 0.0)


def test_no_interval_is_made_up_for_a_metric_without_bounds():
    values = torch.rand(300).double()
    for bounds, known in ((None, False), ((0.0, float("inf")), False), ((0.0, 2.0), True)):
        population = Population(values, values + 0.1, Metric("m", lambda outputs, _: outputs, bounds=bounds))
        assert (score(population.predict, population.reference(0)).population_low is not None) == known


def test_old_records_are_read():
    assert Score(0.9, 0.9, 0.9, 10, 10).population_low is None
