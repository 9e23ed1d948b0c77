"""Sampled Shapley values are those of exact enumeration, within their error."""

import itertools
import math

import pytest
import torch

from tests.steps.prune.importance.test_closed_forms import small  # noqa: F401  # a fixture
from workbench.graph import mask
from workbench.steps.context import Context
from workbench.steps.prune.importance import CRITERIA
from workbench.steps.prune.importance.shapley import Game, sampled_values


def contributions(value, players):
    """Return what each player adds in each order of the players, [orders, players]."""
    kept = {}

    def of(there):
        if there not in kept:
            kept[there] = value(torch.tensor([float(p in there) for p in range(players)]))
        return kept[there]

    rows = []
    for order in itertools.permutations(range(players)):
        row, there = [0.0] * players, frozenset()
        for player in order:
            row[player] = of(there | {player}) - of(there)
            there |= {player}
        rows.append(row)
    return torch.tensor(rows, dtype=torch.float64)


def enumerated(value, players):
    """Return the Shapley values by Shapley's own formula, over all coalitions."""
    found = []
    for player in range(players):
        total = 0.0
        others = [p for p in range(players) if p != player]
        for size in range(players):
            share = math.factorial(size) * math.factorial(players - size - 1) / math.factorial(players)
            for there in itertools.combinations(others, size):
                without, within = torch.zeros(2, players)
                without[list(there)] = within[[*there, player]] = 1.0
                total += share * (value(within) - value(without))
        found.append(total)
    return torch.tensor(found, dtype=torch.float64)


@pytest.fixture
def game(small):  # noqa: F811  # the fixture
    (group,) = [group for group in Context(small).groups(small.model) if group.protected is None]
    return Game(small.model, group, small.task)


@pytest.mark.parametrize("permutations", [8, 64])
def test_sampled_values_are_the_exact_ones_within_their_error(game, permutations):
    exact, orders = enumerated(game, game.players), contributions(game, game.players)
    torch.testing.assert_close(orders.mean(0), exact)
    error = orders.std(0, correction=0) / permutations**0.5
    found = torch.stack([sampled_values(game, game.players, permutations, seed) for seed in range(5)])
    assert bool(((found - exact).abs() <= 4 * error + 1e-9).all())
    assert bool(((found.mean(0) - exact).abs() <= 4 * error / 5**0.5 + 1e-9).all())


@pytest.mark.parametrize("permutations", [1, 7])
def test_the_values_sum_to_the_full_score_less_the_empty_one(game, permutations):
    found = sampled_values(game, game.players, permutations, seed=1)
    assert float(found.sum()) == pytest.approx(game(torch.ones(5)) - game(torch.zeros(5)))


def test_a_coalition_scores_as_the_model_without_the_others(game, small):  # noqa: F811  # the fixture
    (group,) = [group for group in Context(small).groups(small.model) if group.protected is None]
    inputs, targets = small.task.split("calibration").batch(range(48))
    before = {name: value.clone() for name, value in small.model.state_dict().items()}
    for coalition in ([1, 1, 1, 1, 1], [1, 0, 1, 0, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]):
        masked = mask(small.model, [group], {group.name: [u for u in range(5) if not coalition[u]]})
        right = (masked(*inputs).argmax(1) == targets).double().mean()
        assert game(torch.tensor(coalition)) == pytest.approx(float(right))
    assert all(torch.equal(value, before[name]) for name, value in small.model.state_dict().items())


def test_where_lower_is_better_a_useful_unit_is_still_worth_more(regression):
    (group,) = [group for group in Context(regression).groups(regression.model) if group.protected is None]
    found = CRITERIA["shapley"].units(regression.model, [group], Context(regression))[group.name]
    game = Game(regression.model, group, regression.task)
    assert float(found.sum()) == pytest.approx(game(torch.ones(16)) - game(torch.zeros(16)))
    assert float(found.sum()) > 0
