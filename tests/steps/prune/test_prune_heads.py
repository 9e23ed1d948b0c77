"""Attention heads: which go, how many, and what is left."""

import pytest
import torch

from workbench.errors import WorkbenchError
from workbench.measure.compute import count_macs
from workbench.steps import Context, PruneChannels, PruneHeads
from workbench.steps.prune.importance import CRITERIA
from workbench.steps.recipe import Recipe, run

# There is no batch norm, DeepLift knows no attention, and the values of Shapley take long.
UNFIT = ("batchnorm", "deep_lift", "shapley")


def heads(model):
    return [model.get_parameter(f"blocks.{block}.qkv.weight").shape[0] // 12 for block in (0, 1)]


def left(subject, **options):
    return run(subject, Recipe((PruneHeads(**options),))).model


def test_heads_go_where_they_are_asked_for(transformer):
    assert heads(left(transformer, amount=0.4, ranking="local")) == [2, 2]
    assert sum(heads(left(transformer, amount=0.4))) == 4
    assert heads(left(transformer, layers="blocks.1.*", amount=0.95)) == [3, 1]
    assert heads(left(transformer, amount=0.4, ranking="local", by_layer="blocks.0.*=2")) == [1, 2]


@pytest.mark.parametrize("kind", [kind for kind in CRITERIA if kind not in UNFIT])
def test_every_criterion_ranks_heads(kind, transformer):
    context = Context(transformer)
    model, groups = context.heads(transformer.model)
    for scores in CRITERIA[kind].units(model, groups, context).values():
        assert scores.shape == (3,)
        assert bool(scores.isfinite().all())


def test_the_weakest_head_goes(transformer):
    weight = transformer.model.get_parameter("blocks.0.qkv.weight").detach()
    weakest = int(weight.view(3, 3, 4, 12).abs().mean((0, 2, 3)).argmin())
    model = left(transformer, layers="blocks.0.*", amount=0.4, importance="magnitude")
    kept = [head for head in range(3) if head != weakest]
    assert torch.equal(model.get_parameter("blocks.0.qkv.weight"), weight.view(3, 3, 4, 12)[:, kept].reshape(24, 12))


@pytest.mark.parametrize("budget", ["params", "macs"])
def test_a_budget_is_met_to_within_one_head(transformer, budget):
    example = transformer.task.example(2)

    def spent(model):
        return count_macs(model, example) if budget == "macs" else sum(p.numel() for p in model.parameters())

    whole = spent(transformer.model)
    one = whole - spent(left(transformer, layers="blocks.0.*", amount=0.4))
    found = spent(left(transformer, amount=0.2, budget=budget))
    assert 0.8 * whole - one < found <= 0.8 * whole


def test_channels_can_go_before_and_after(transformer):
    channels = PruneChannels(layers="*fc1", amount=0.5)
    model = run(transformer, Recipe((channels, PruneHeads(amount=0.4), channels))).model
    assert model.get_parameter("blocks.0.fc1.weight").shape == (6, 12)
    with pytest.raises(WorkbenchError, match="they are attention heads, which prune_heads takes"):
        run(transformer, Recipe((PruneChannels(layers="*qkv"),)))


def test_a_model_without_heads_says_so(images, transformer):
    with pytest.raises(WorkbenchError, match="Prune attention heads: the model has no attention heads"):
        left(images)
    with pytest.raises(WorkbenchError, match=r"nothing in head can be cut"):
        left(transformer, layers="head")
