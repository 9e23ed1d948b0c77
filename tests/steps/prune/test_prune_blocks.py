"""Residual blocks: which go, and what is left of masks and grids."""

import pytest
import torch

from workbench.errors import WorkbenchError
from workbench.jobs.progress import Progress
from workbench.steps import Context, FineTune, Prune, PruneBlocks, Quantize
from workbench.steps.prune.prune_blocks import influence, rank_branches
from workbench.steps.recipe import Recipe, run


def test_influence_is_the_angle_between_what_enters_and_what_leaves():
    x = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [2.0, 2.0]])
    y = torch.tensor([[2.0, 0.0], [0.0, 3.0], [-1.0, 0.0], [1.0, 0.0]])
    expected = torch.tensor([0.0, 1.0, 2.0, 1 - 0.5**0.5], dtype=torch.float64)
    torch.testing.assert_close(influence(x, y), expected)


@pytest.mark.parametrize("importance", ["similarity", "loss"])
def test_the_branch_that_does_least_goes(importance, transformer):
    context = Context(transformer, 0, Progress())
    made, found = context.branches(transformer.model)
    scores = rank_branches(made, found, importance, context)
    state = run(transformer, Recipe((PruneBlocks(blocks=1, importance=importance),)))
    (gone,) = [branch for branch in found if f"{branch.layers[0]}.weight" not in dict(state.model.named_parameters())]
    assert scores[found.index(gone)] == min(scores)
    assert state.notes == (f"{gone.name}: removed, only its shortcut is left",)


def test_the_rise_of_the_loss_is_that_of_the_model_without_the_branch(transformer):
    context = Context(transformer, 0, Progress())
    made, found = context.branches(transformer.model)
    data = transformer.task.split("calibration")
    inputs, targets = data.batch(range(len(data)))
    model = run(transformer, Recipe((PruneBlocks(layers="blocks.1.fc1"),))).model
    with torch.no_grad():
        loss, before = (float(transformer.task.loss(net(*inputs), targets)) for net in (model, transformer.model))
    assert rank_branches(made, found, "loss", context)[3] == pytest.approx(loss - before, abs=1e-5)


def test_layers_choose_branches(transformer):
    state = run(transformer, Recipe((PruneBlocks(layers="blocks.1.*", exclude="*.fc1", blocks=1),)))
    names = dict(state.model.named_parameters())
    assert "blocks.1.qkv.weight" not in names
    assert {"blocks.0.qkv.weight", "blocks.1.fc1.weight"} < set(names)
    with pytest.raises(WorkbenchError, match=r"residual blocks: 3 of blocks\.1\.\* cannot go; there are 2: blocks"):
        run(transformer, Recipe((PruneBlocks(layers="blocks.1.*", blocks=3),)))


def test_grids_and_masks_of_what_is_gone_are_forgotten(images):
    state = run(images, Recipe((Prune(amount=0.5), Quantize(bits=4), PruneBlocks())))
    left = set(dict(state.model.named_parameters()))
    assert "conv3.weight" not in left
    assert set(state.codings) < left
    assert state.pruned < left
    assert "conv2.weight" in state.pruned


def test_what_is_left_can_be_trained(images):
    state = run(images, Recipe((PruneBlocks(), FineTune(epochs=1))))
    assert "conv3.weight" not in dict(state.model.named_parameters())
    assert state.model.get_submodule("bn2").running_mean is not None
