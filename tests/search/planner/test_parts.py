"""What parts may become: damages are measured, what is beaten is left out, and budgets are kept."""

from __future__ import annotations

import math

import pytest
import torch

from tests.search.test_sensitivity import trial_context_of
from workbench.search.planner.parts import Choice, Parts, damages, moved, sections_of, worthwhile
from workbench.steps import EntropyCode, Prune, Quantize


@pytest.fixture(scope="module")
def root(images):
    return trial_context_of(images)


def test_a_stronger_choice_damages_more_and_costs_less(root):
    trials = [(Quantize(layers="conv3", bits=bits), EntropyCode(layers="conv3")) for bits in (8, 4, 2)]
    found, seconds = damages(root, [*trials, (Prune(layers="nowhere"),)], "bytes")
    (eight, four, two, nowhere) = found
    assert 0 <= eight[0] < four[0] < two[0]
    assert eight[1] > four[1] > two[1]
    assert nowhere == (math.inf, math.inf)
    assert seconds > 0


def test_outputs_that_move_are_told_in_nats_or_relative():
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    assert moved(logits, logits + 5.0, logits=True) == pytest.approx(0.0)
    assert moved(logits, -logits, logits=True) > 0.5
    values = torch.tensor([[1.0], [3.0]])
    assert moved(values, values + 1.0, logits=False) == pytest.approx(1.0)
    assert moved(values, values * float("nan"), logits=False) == math.inf


def test_what_another_beats_is_no_choice():
    stay, mild, beaten, strong = (Choice({}, 0, 0), Choice({"a": 1}, 1, -5), Choice({"a": 2}, 2, -4), Choice({}, 3, -9))
    assert worthwhile([stay, strong, beaten, mild, Choice({}, math.inf, -99)]) == (stay, mild, strong)
    assert worthwhile([stay, Choice({}, 0.5, 3)]) == (stay,)


def test_a_budget_is_kept_with_the_least_damage():
    choices = {
        name: (Choice({}, 0, 0), Choice({"bits": 4}, 1, -10), Choice({"bits": 2}, weight, -20))
        for name, weight in (("a.x", 8.0), ("b.x", 3.0))
    }
    parts = Parts(choices, 100.0, sections_of(list(choices)))
    assert parts.least == 60.0
    assert {name: choice.strengths for name, choice in parts.within(80.0, {}).items()} == {
        "a.x": {"bits": 4}, "b.x": {"bits": 4},
    }  # fmt: skip
    weighed = parts.within(80.0, {"a": 4.0, "b": 0.25})
    assert [choice.cost for choice in weighed.values()] == [0, -20]
    assert sum(choice.cost for choice in parts.within(0.0, {}).values()) == -40.0


def test_sections_are_beginnings_of_names_or_stretches():
    assert sections_of(["layer1.0", "layer1.1", "fc"]) == {"layer1.0": "layer1", "layer1.1": "layer1", "fc": "fc"}
    many = sections_of([f"conv{number}" for number in range(10)])
    assert len(set(many.values())) == 5
    assert sections_of(["net.0", "net.1"]) == {"net.0": "part 1", "net.1": "part 2"}
