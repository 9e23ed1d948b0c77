"""Unstructured pruning: exact numbers of zeros, in the right places."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests import nets
from tests.checkpoint.test_checkpoint import subject_of
from workbench.errors import WorkbenchError
from workbench.steps import Prune
from workbench.steps.prune.patterns import keep_masks
from workbench.steps.recipe import Recipe, run


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60), st.floats(0, 1), st.booleans())
def test_exactly_the_asked_number_goes_and_nothing_better_than_what_stays(values, amount, together):
    scores = {"a": torch.tensor(values).float(), "b": torch.tensor(values[::-1] * 2).float().view(2, -1)}
    masks = keep_masks(scores, amount, together)
    assert all(masks[name].shape == score.shape for name, score in scores.items())
    parts = [("a", "b")] if together else [("a",), ("b",)]
    for names in parts:
        flat = torch.cat([scores[name].flatten() for name in names])
        keep = torch.cat([masks[name].flatten() for name in names])
        assert int((~keep).sum()) == int(amount * len(flat))
        if keep.any() and not keep.all():
            assert flat[~keep].max() <= flat[keep].min()


def test_of_equal_scores_the_first_ones_go():
    assert keep_masks({"a": torch.ones(6)}, 0.5, together=True)["a"].tolist() == [False] * 3 + [True] * 3


@pytest.mark.parametrize("amount", [0.0, 0.1, 0.5, 0.95, 1.0])
def test_local_takes_the_same_part_of_every_layer(images, amount):
    state = run(images, Recipe((Prune(amount=amount),)))
    for name in ("conv1", "conv2", "conv3", "hidden", "fc"):
        before = images.model.get_parameter(f"{name}.weight")
        after = state.model.get_parameter(f"{name}.weight")
        assert int((after == 0).sum()) == math.floor(amount * after.numel()) + int((before == 0).sum())
        kept = after != 0
        assert torch.equal(after[kept], before[kept])
    assert state.pruned == {f"{name}.weight" for name in ("conv1", "conv2", "conv3", "hidden", "fc")}


def test_global_takes_more_from_layers_of_small_weights(images):
    model = images.model
    local = run(images, Recipe((Prune(amount=0.5),))).model
    both = run(images, Recipe((Prune(amount=0.5, ranking="global"),))).model
    names = [f"{name}.weight" for name in ("conv1", "conv2", "conv3", "hidden", "fc")]
    total = sum(model.get_parameter(name).numel() for name in names)
    assert sum(int((both.get_parameter(name) == 0).sum()) for name in names) == total // 2
    shares = [float((both.get_parameter(name) == 0).double().mean()) for name in names]
    assert max(shares) - min(shares) > 0.05
    assert any(not torch.equal(local.get_parameter(name), both.get_parameter(name)) for name in names)
    gone = torch.cat([model.get_parameter(name)[both.get_parameter(name) == 0].abs() for name in names])
    kept = torch.cat([model.get_parameter(name)[both.get_parameter(name) != 0].abs() for name in names])
    assert gone.max() <= kept.min()


def test_only_the_chosen_layers_change(images):
    state = run(images, Recipe((Prune(layers="conv*, fc", exclude="conv2"),)))
    before, after = images.model.state_dict(), state.model.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"conv1.weight", "conv3.weight", "fc.weight"}


@pytest.mark.parametrize("layers", ["*", "embed", "decoder", "decoder, embed"])
def test_a_tied_weight_is_pruned_once(layers):
    state = run(subject_of("tied"), Recipe((Prune(amount=0.25, layers=layers),)))
    assert state.model.decoder.weight is state.model.embed.weight
    assert int((state.model.embed.weight == 0).sum()) == 40


def test_pruning_twice_counts_from_all_weights(images):
    state = run(images, Recipe((Prune(amount=0.5), Prune(amount=0.7))))
    weight = state.model.get_parameter("conv3.weight")
    assert int((weight == 0).sum()) == int(0.7 * weight.numel())


def test_a_net_without_anything_but_attention_is_pruned():
    subject = subject_of("text")
    state = run(subject, Recipe((Prune(amount=0.5, layers="attention"),)))
    assert int((state.model.attention.in_proj_weight == 0).sum()) == 8 * 24 // 2
    assert nets.build("text")[0].attention.in_proj_weight.count_nonzero() == 8 * 24


@pytest.mark.parametrize("ranking", ["local", "global"])
def test_layers_have_amounts_of_their_own(images, ranking):
    step = Prune(amount=0.5, by_layer="conv*=0.25, fc=1", ranking=ranking)
    model = run(images, Recipe((step,))).model

    def zeros(name):
        weight = model.get_submodule(name).weight
        return int((weight == 0).sum()), weight.numel()

    for name, amount in (("conv1", 0.25), ("conv3", 0.25), ("fc", 1.0), ("hidden", 0.5)):
        gone, full = zeros(name)
        assert gone == int(amount * full)
    with pytest.raises(WorkbenchError, match="matches 'conv9'"):
        run(images, Recipe((Prune(by_layer="conv9=0.5"),)))
    with pytest.raises(WorkbenchError, match="by_layer must be layers"):
        Prune(by_layer="conv1=12")
