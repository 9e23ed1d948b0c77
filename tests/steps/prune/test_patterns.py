"""Patterns of zeros: the asked number in the asked shape, and nothing better than what stays."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.steps.prune.importance.test_criteria import subject_of
from workbench.steps import FineTune, Prune
from workbench.steps.prune.patterns import group_mask, pattern_masks
from workbench.steps.recipe import Recipe, run


def scores(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@given(st.integers(1, 20), st.integers(1, 6), st.integers(2, 9), st.floats(0, 1))
def test_of_every_group_of_inputs_the_asked_number_goes(inputs, rows, size, amount):
    found = group_mask(scores(rows, inputs, 3), 1, size, amount)
    for start in range(0, inputs, size):
        part = found[:, start : start + size]
        assert bool(((~part).sum(1) == int(amount * part.shape[1])).all())


def test_two_of_four_leaves_the_two_largest():
    score = torch.tensor([[1.0, 4.0, 2.0, 3.0, 9.0, 9.0, 9.0, 9.0, 5.0, 6.0]])
    found = pattern_masks({"a": score}, {"a": 0}, 0.5, "local", "n:m", 4)["a"]
    assert found.int().tolist() == [[0, 1, 0, 1, 0, 0, 1, 1, 0, 1]]


@pytest.mark.parametrize("outputs", [0, 1])
def test_groups_run_along_the_inputs_of_a_kernel_wherever_they_lie(outputs):
    shape = (6, 8, 3, 3) if outputs == 0 else (8, 6, 3, 3)
    found = pattern_masks({"a": scores(*shape)}, {"a": outputs}, 0.25, "local", "n:m", 4)["a"]
    groups = found.movedim(outputs, 0).reshape(6, 2, 4, 9)
    assert bool((groups.sum(2) == 3).all())


@given(st.integers(1, 11), st.integers(1, 11), st.integers(2, 5), st.floats(0, 1))
def test_blocks_go_whole_and_by_their_means(rows, columns, size, amount):
    score = scores(rows, columns).double()
    found = pattern_masks({"a": score}, {"a": 0}, amount, "local", "block", size)["a"]
    blocks = [(i, j) for i in range(0, rows, size) for j in range(0, columns, size)]
    means, stay = [], []
    for i, j in blocks:
        part = found[i : i + size, j : j + size]
        assert bool(part.all()) or not bool(part.any())
        means.append(float(score[i : i + size, j : j + size].mean()))
        stay.append(bool(part.all()))
    assert stay.count(False) == int(amount * len(blocks))
    gone = [mean for mean, there in zip(means, stay, strict=True) if not there]
    kept = [mean for mean, there in zip(means, stay, strict=True) if there]
    assert not gone or not kept or max(gone) <= min(kept) + 1e-6


def test_kernels_go_whole():
    score = {"conv": scores(5, 4, 3, 3), "linear": scores(6, 7, seed=1)}
    outputs = dict.fromkeys(score, 0)
    found = pattern_masks(score, outputs, 0.3, "local", "kernel")
    kernels = found["conv"].flatten(2).sum(2)
    assert sorted(kernels.unique().tolist()) == [0, 9]
    assert int((kernels == 0).sum()) == int(0.3 * 20)
    assert int((~found["linear"]).sum()) == int(0.3 * 42)
    means = score["conv"].flatten(2).mean(2)
    assert means[kernels == 0].max() <= means[kernels == 9].min()
    both = pattern_masks(score, outputs, 0.3, "global", "kernel")
    assert int((both["conv"].flatten(2).sum(2) == 0).sum()) + int((~both["linear"]).sum()) == int(0.3 * 62)


def test_every_output_loses_the_same():
    found = pattern_masks({"a": scores(6, 5, 3), "b": scores(4, 9)}, {"a": 1, "b": 0}, 0.4, "output")
    assert (~found["a"]).sum((0, 2)).tolist() == [int(0.4 * 18)] * 5
    assert (~found["b"]).sum(1).tolist() == [int(0.4 * 9)] * 4


@pytest.mark.parametrize("pattern", ["n:m", "block", "kernel"])
@pytest.mark.parametrize("name", ["mobile", "unet", "text"])
def test_every_net_takes_every_pattern(pattern, name):
    subject = subject_of(name)
    state = run(subject, Recipe((Prune(amount=0.5, pattern=pattern),)))
    assert state.pruned
    for parameter in state.pruned:
        before, after = subject.model.get_parameter(parameter), state.model.get_parameter(parameter)
        assert torch.equal(after[after != 0], before[after != 0])
        if pattern == "n:m" and before.shape[1] % 4 == 0 and name != "unet":
            assert int((after == 0).sum()) == before.numel() // 2


def test_a_pattern_outlives_fine_tuning(images):
    state = run(images, Recipe((Prune(amount=0.5, pattern="n:m", layers="conv2, conv3"), FineTune(epochs=1))))
    for name in ("conv2", "conv3"):
        groups = state.model.get_submodule(name).weight.movedim(1, -1).unflatten(-1, (-1, 4))
        assert int((groups != 0).sum(-1).max()) <= 2
