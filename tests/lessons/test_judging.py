"""Predictions are judged against what was measured, within its uncertainty, and wrong ones in their own words."""

from __future__ import annotations

import pytest
import torch

import workbench as wb
from workbench.errors import WorkbenchError
from workbench.lessons import Measured, counted, expect, judge, points_lost, repeated, score_weights
from workbench.lessons.huffman_tree import codes, entropy, huffman_tree, mean_bits
from workbench.lessons.questions import question

CHOICES = [
    {"key": "low", "text": "little", "high": 1.0, "wrong": "too little"},
    {"key": "high", "text": "much", "low": 1.0, "wrong": "too much"},
]
CHOOSE = question("q", {"kind": "choose", "ask": "?", "right": "so it is", "choices": CHOICES})
BEST = question("q", {"kind": "choose", "ask": "?", "best": "smallest", "right": "so it is", "choices": CHOICES})
NUMBER = question(
    "q",
    {
        "kind": "number", "ask": "?", "right": "yes", "slack": 2.0, "low": 0, "high": 200,
        "mistakes": [
            {"when": "near", "near": "half", "said": "half is another thing"},
            {"when": "below", "times": 5.0, "said": "far too few"},
            {"when": "above", "said": "too many"},
        ],
    },
)  # fmt: skip
SKETCH = question(
    "q",
    {
        "kind": "sketch", "ask": "?", "right": "yes", "slack": 5, "xs": [0, 1, 2, 3, 4],
        "mistakes": [
            {"when": "wrong way", "said": "it falls"}, {"when": "straight", "said": "not straight"},
            {"when": "above", "said": "too high"},
        ],
    },
)  # fmt: skip
CLIFF = [counted(value) for value in (100, 99, 97, 90, 10)]


def between(low, high):
    return Measured((low + high) / 2, low, high, "measured")


def test_a_choice_is_right_where_the_interval_reaches_it():
    assert judge(CHOOSE, "low", between(0.1, 0.4)).word == "right"
    assert judge(CHOOSE, "high", between(0.1, 0.4)).said == "too much"
    both = judge(CHOOSE, "high", between(0.8, 1.4))
    assert both.word == "right"
    assert both.undecided


def test_choices_that_are_measured_are_told_apart_by_their_intervals():
    truth = {"low": between(1, 2), "high": between(3, 4)}
    assert judge(BEST, "low", truth).word == "right"
    assert judge(BEST, "high", truth).said == "too much"
    assert judge(BEST, "high", {"low": between(1, 3.2), "high": between(3, 4)}).undecided
    with pytest.raises(WorkbenchError, match="each of its choices"):
        judge(BEST, "low", {"low": between(1, 2)})


@pytest.mark.parametrize(
    ("guess", "word", "said"),
    [(56, "right", "yes"), (62, "right", "yes"), (50, "close", "half is another thing"), (10, "wrong", "far too few"),
     (90, "wrong", "too many"), (None, "none", "yes"), ("56", "none", "yes"), (True, "none", "yes")],
)  # fmt: skip
def test_a_number_may_be_as_far_off_as_the_measurement_is_unsure(guess, word, said):
    found = judge(NUMBER, guess, between(55, 60), half=counted(50))
    assert (found.word, found.said) == (word, said)


@pytest.mark.parametrize(
    ("drawn", "word", "said"),
    [([100, 98, 95, 88, 12], "right", "yes"), ([100, 75, 50, 30, 10], "wrong", "not straight"),
     ([0, 10, 20, 60, 100], "wrong", "it falls"), ([100, 100, 100, 100, 90], "close", "too high"),
     (None, "none", "yes")],
)  # fmt: skip
def test_a_curve_is_judged_by_its_points_and_its_shape(drawn, word, said):
    found = judge(SKETCH, drawn, CLIFF)
    assert (found.word, found.said) == (word, said)


def test_a_question_that_is_not_whole_is_refused():
    with pytest.raises(WorkbenchError, match="of no kind"):
        question("q", {"kind": "guess", "ask": "?"})
    with pytest.raises(WorkbenchError, match="has not what a choose needs"):
        question("q", {"kind": "choose", "ask": "?"})
    with pytest.raises(WorkbenchError, match="incomplete"):
        question("q", {"kind": "number"})


def test_repeated_measurements_have_the_interval_of_their_mean():
    found = repeated([1.0, 2.0, 3.0, 4.0])
    assert found.value == 2.5
    assert found.high - found.value == pytest.approx(3.182 * 1.2910 / 2, rel=1e-3)
    with pytest.raises(WorkbenchError, match="no interval"):
        repeated([1.0])


def test_own_weights_are_scored_as_a_step_would_be(session):
    layer = session.state.model.get_parameter("fc.weight").detach()
    measured = session.apply(wb.Prune(layers="fc", amount=0.9)).score
    pruned = session.state.model.get_parameter("fc.weight").detach()
    found = score_weights(session, {"fc.weight": pruned})
    assert found.value == measured.value
    assert points_lost(found).low <= -100 * found.change <= points_lost(found).high
    assert score_weights(session, {"fc.weight": layer}).change == 0
    with pytest.raises(WorkbenchError, match="no parameter"):
        score_weights(session, {"fd.weight": layer})
    with pytest.raises(WorkbenchError, match="shape"):
        score_weights(session, {"fc.weight": layer[:1]})


def test_a_test_says_which_mistake_it_was():
    right = torch.tensor([1.0, 0.0])
    expect(right + 1e-7, right)
    with pytest.raises(AssertionError, match="wrong way round"):
        expect(1 - right, right, {"it is the wrong way round": 1 - right})
    with pytest.raises(AssertionError, match=r"differs in 1 of 2 places, first at \[1\]: 3"):
        expect(torch.tensor([1.0, 3.0]), right)
    for found, said in ((None, "return anything"), ("x", "is a str"), (torch.zeros(3), "shape")):
        with pytest.raises(AssertionError, match=said):
            expect(found, right)
    with pytest.raises(AssertionError, match="is nan"):
        expect(float("nan"), 1.0)


def test_a_huffman_code_is_whole_and_near_the_entropy():
    counts = {"a": 45, "b": 13, "c": 12, "d": 16, "e": 9, "f": 5}
    code = codes(huffman_tree(counts))
    assert sum(2.0 ** -len(bits) for bits in code.values()) == 1
    assert mean_bits(counts, code) == pytest.approx(2.24)
    assert entropy(counts) <= mean_bits(counts, code) < entropy(counts) + 1
