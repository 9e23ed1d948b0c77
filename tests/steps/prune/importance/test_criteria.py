"""Every criterion in the table, on nets of every topology: whole, repeatable, and nobody notices that it looked."""

import re
from itertools import product

import pytest
import torch
from torch import nn

from tests import nets
from tests.sampling import sampled
from tests.steps.test_contract import fingerprint, same
from workbench.errors import Cancelled, WorkbenchError
from workbench.jobs.progress import Progress
from workbench.model.subject import Subject
from workbench.steps import Prune, PruneChannels
from workbench.steps.context import Context
from workbench.steps.prune.importance import CRITERIA, WEIGHT_CRITERIA, rank_units, shapley
from workbench.steps.recipe import Recipe, run
from workbench.task.task import Task

NETS = ("padded", "mobile", "grouped", "flattened", "vit", "text", "mlp", "shared", "unet")
DATA = [kind for kind, criterion in CRITERIA.items() if criterion.needs_data]
# What a criterion cannot be asked on these nets, and what it says then.
REFUSED = {
    "deep_lift": r"DeepLift is not defined on this model: its attributions do not add up|DeepLift .* indices",
    "conductance": r"must be floating-point numbers, not indices|loop\.0: attributions are for layers that are called",
    "gradient_activation": r"loop\.0: attributions are for layers that are called once",
}


def subject_of(name, count=20):
    """Return a tiny net with random data, enough to be ranked by."""
    model, example = nets.build(name)
    generator = torch.Generator().manual_seed(1)
    inputs = tuple(
        torch.randn(count, *value.shape[1:], generator=generator)
        if value.is_floating_point()
        else torch.randint(0, 20, (count, *value.shape[1:]), generator=generator)
        for value in example
    )
    with torch.no_grad():
        outputs = model(*inputs)
    if outputs.ndim == 2:
        data = (inputs, torch.randint(0, outputs.shape[1], (count,), generator=generator))
        return Subject(name, model, Task(validation=data, calibration=data))
    data = (inputs, outputs + 0.1 * torch.randn(outputs.shape, generator=generator))
    return Subject(name, model, Task(validation=data, calibration=data, metric="mse"))


@pytest.fixture(scope="module")
def subjects():
    return {name: subject_of(name) for name in NETS}


def groups_of(criterion, context):
    model = context.subject.model
    free = [group for group in context.groups(model) if group.protected is None]
    return [group for group in free if not criterion.unfit(model, group)]


@pytest.mark.parametrize(("kind", "name"), sampled(product(CRITERIA, NETS), 62))
def test_units_are_ranked_whole_and_alike_each_time(kind, name, subjects, monkeypatch):
    monkeypatch.setattr(shapley, "PERMUTATIONS", 3)
    criterion, context = CRITERIA[kind], Context(subjects[name], seed=3)
    model, groups = context.subject.model, groups_of(CRITERIA[kind], context)
    if not groups:
        return
    model.train()
    before, chance = fingerprint(model), torch.random.get_rng_state()
    refused = ""
    try:
        found = criterion.units(model, groups, context)
    except WorkbenchError as error:
        refused = str(error)
    finally:
        assert same(before, fingerprint(model))
        assert torch.equal(chance, torch.random.get_rng_state())
        model.eval()
    if refused:
        assert re.search(REFUSED[kind], refused)
        return
    torch.rand(2)
    again = criterion.units(model, groups, context)
    assert found.keys() == {group.name for group in groups}
    for group in groups:
        assert found[group.name].shape == (len(group.units),)
        assert bool(found[group.name].isfinite().all())
        assert torch.equal(found[group.name], again[group.name])
        assert not found[group.name].requires_grad


@pytest.mark.parametrize("name", ["padded", "grouped", "vit", "mlp"])
@pytest.mark.parametrize("kind", WEIGHT_CRITERIA)
def test_weights_are_ranked_whole_and_alike_each_time(kind, name, subjects):
    criterion, context = WEIGHT_CRITERIA[kind], Context(subjects[name], seed=3)
    model = context.subject.model
    found = [layer for layer in context.layers(model) if not criterion.unfit_weight(model, layer.parameter)]
    names = [layer.parameter for layer in found]
    before = fingerprint(model)
    scores, again = (criterion.weights(model, names, context) for _ in range(2))
    assert same(before, fingerprint(model))
    for layer in found:
        assert scores[layer.parameter].shape == layer.shape
        assert bool((scores[layer.parameter] >= 0).all())
        assert torch.equal(scores[layer.parameter], again[layer.parameter])


@pytest.mark.parametrize("kind", DATA)
def test_a_criterion_that_looks_at_data_can_be_stopped_and_says_what_is_missing(kind, vectors):
    criterion = CRITERIA[kind]
    groups = groups_of(criterion, Context(vectors))
    with pytest.raises(Cancelled):
        criterion.units(vectors.model, groups, Context(vectors, 0, Progress(None, lambda: True)))
    bare = Subject("bare", vectors.model, Task(validation=vectors.task.split("validation")))
    with pytest.raises(WorkbenchError, match=r"the task has no calibration data"):
        criterion.units(vectors.model, groups, Context(bare))


def test_every_name_is_its_criterions_own():
    assert len({criterion.title for criterion in CRITERIA.values()}) == len(CRITERIA)
    assert all(CRITERIA[kind].kind == kind for kind in CRITERIA)


def test_single_weights_are_not_ranked_by_what_is_defined_for_channels_only():
    (offered,) = [option.choices for option in Prune.options() if option.name == "importance"]
    assert set(CRITERIA) - set(offered) >= {"batchnorm", "shapley", "apoz", "geometric_median", "conductance"}
    with pytest.raises(WorkbenchError, match=r"Prune weights: importance must be one of magnitude, .*not 'shapley'"):
        Prune(importance="shapley")


def test_a_group_that_a_criterion_says_nothing_about_stays_and_is_named(images):
    state = run(images, Recipe((PruneChannels(importance="batchnorm"),)))
    assert state.model.conv2.out_channels == 8
    assert state.model.hidden.out_features == 24
    assert "hidden: not cut, no BatchNorm scales its channels" in state.notes
    with pytest.raises(
        WorkbenchError, match=r"nothing in hidden can be cut\. hidden: no BatchNorm scales its channels"
    ):
        run(images, Recipe((PruneChannels(layers="hidden", importance="batchnorm"),)))


@pytest.mark.parametrize("kind", ["wanda", "obs"])
def test_a_layer_whose_inputs_cannot_be_looked_at_is_named(kind, subjects):
    said = r"says nothing about embed\.weight.*not of a linear layer or convolution; exclude embed"
    with pytest.raises(WorkbenchError, match=said):
        run(subjects["text"], Recipe((Prune(importance=kind, layers="embed, head"),)))
    every = run(subjects["text"], Recipe((Prune(importance=kind),)))
    assert int((every.model.head.weight == 0).sum()) == 16
    assert not bool((every.model.embed.weight == 0).any())
    note, *_ = every.notes
    assert note.startswith("embed, encoder.self_attn, encoder.self_attn.out_proj, attention, attention.out_proj: not ")
    state = run(subjects["text"], Recipe((Prune(importance=kind, layers="head, encoder.linear*"),)))
    assert int((state.model.head.weight == 0).sum()) == 16


def test_scores_of_a_built_model_are_computed_once(vectors, monkeypatch):
    criterion, calls = CRITERIA["activation"], []
    compute = type(criterion).units
    monkeypatch.setattr(type(criterion), "units", lambda *given: calls.append(1) or compute(*given))
    groups = groups_of(criterion, Context(vectors))
    first, second = (rank_units(criterion, vectors.model, groups, Context(vectors)) for _ in range(2))
    assert (len(calls), second) == (1, first)
    rank_units(criterion, vectors.model, groups, Context(vectors, seed=1))
    other = Subject(
        "other data", vectors.model, Task(validation=vectors.task.split("test"), train=vectors.task.split("test"))
    )
    third = rank_units(criterion, vectors.model, groups, Context(other))
    assert len(calls) == 3
    assert any(not torch.equal(first[name], third[name]) for name in first)


def test_frozen_weights_have_gradients_too(vectors):
    model = nn.Sequential(nn.Linear(10, 6), nn.ReLU(), nn.Linear(6, 4)).requires_grad_(False)
    context = Context(Subject("frozen", model, vectors.task))
    assert float(CRITERIA["taylor"].units(model, groups_of(CRITERIA["taylor"], context), context)["0"].sum()) > 0
    assert not any(parameter.requires_grad for parameter in model.parameters())
