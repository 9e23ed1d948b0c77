"""Merging: one layer that computes what two did, where no one is needed between."""

import pytest
import torch
from torch import nn

from workbench.errors import WorkbenchError
from workbench.steps import Factorize, MergeFactors, PruneChannels, Quantize
from workbench.steps.factorize.merge_factors import merged
from workbench.steps.recipe import Recipe, run

PAIRS = {
    "spatial": (nn.Conv2d(4, 6, (3, 1), (2, 1), (1, 0), bias=False), nn.Conv2d(6, 5, (1, 3), (1, 2), (0, 1))),
    "channels": (nn.Conv2d(4, 3, 3, padding=1), nn.Conv2d(3, 5, 1)),
    "narrowed": (nn.Conv2d(4, 3, 1), nn.Conv2d(3, 5, 3, stride=2, dilation=2)),
    "grouped": (nn.Conv1d(4, 6, 3, groups=2), nn.Conv1d(6, 4, 1, groups=2)),
    "mirrored": (nn.Conv2d(4, 3, 1, bias=False), nn.Conv2d(3, 5, 3, padding=1, padding_mode="reflect", bias=False)),
    "linear": (nn.Linear(4, 3), nn.Linear(3, 5, bias=False)),
}
APART = {
    "two kernels": (nn.Conv2d(4, 3, 3), nn.Conv2d(3, 5, 3)),
    "a stride between": (nn.Conv2d(4, 3, 1, stride=2), nn.Conv2d(3, 5, 3)),
    "zeros around a bias": (nn.Conv2d(4, 3, 1), nn.Conv2d(3, 5, 3, padding=1)),
    "other groups": (nn.Conv2d(4, 4, 3, groups=2), nn.Conv2d(4, 4, 1)),
    "other dimensions": (nn.Linear(4, 4), nn.Conv1d(4, 4, 1)),
    "padding by itself": (nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 3, padding="same")),
}


@pytest.mark.parametrize("name", PAIRS)
def test_one_layer_computes_what_two_did(name):
    first, second = PAIRS[name]
    dims = len(getattr(first, "kernel_size", ()))
    inputs = torch.randn(3, 4, *(9,) * dims, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(merged(first, second)(inputs), second(first(inputs)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", APART)
def test_what_no_one_layer_computes_stays(name):
    assert merged(*APART[name]) is None


@pytest.mark.parametrize("form", ["spatial", "channel", "tucker"])
def test_factors_become_the_layer_again(images, form):
    recipe = Recipe(
        (Factorize(form=form, layers="conv2, hidden"), MergeFactors(when="always", layers="conv2.*, hidden.*"))
    )
    before, state = run(images, Recipe(recipe.steps[:1])), run(images, recipe)
    assert {name for name, _ in state.model.named_parameters()} == {
        *dict(images.model.named_parameters()), *(["conv2.bias"] if images.model.conv2.bias is not None else [])
    }  # fmt: skip
    assert state.model.conv2.weight.shape == images.model.conv2.weight.shape
    assert state.origin("conv2") == "conv2"
    inputs = images.task.example(8)
    with torch.no_grad():
        torch.testing.assert_close(state.model(*inputs), before.model(*inputs), rtol=1e-4, atol=1e-4)


def test_factors_merge_where_that_is_smaller(images):
    steps = (Factorize(layers="conv3", by_layer="conv3=16"), MergeFactors())
    assert run(images, Recipe(steps)).notes[-1] == "merge factors: no two of the chosen layers are smaller as one"
    cut = (Factorize(layers="conv2, conv3", by_layer="*=16"), PruneChannels(layers="conv1, conv2.1", amount=0.75))
    before, state = run(images, Recipe(cut)), run(images, Recipe((*cut, MergeFactors())))
    sizes = [sum(value.numel() for value in found.model.parameters()) for found in (before, state)]
    assert sizes[1] < sizes[0]
    assert any(note.endswith("went into it") for note in state.notes)


def test_grids_of_what_was_merged_are_told(images):
    steps = (Factorize(layers="conv2"), Quantize(bits=4, layers="conv2.*"), MergeFactors(when="always"))
    state = run(images, Recipe(steps))
    assert not state.codings
    assert state.notes[-1] == "conv2.0.weight, conv2.1.weight: stored in full again, since two layers are one"
    with pytest.raises(WorkbenchError, match="activations are on grids"):
        run(images, Recipe((Quantize(activations=8), MergeFactors())))
