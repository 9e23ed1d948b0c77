"""One contract for every registered step: whoever adds a line to the table of kinds adds its tests with it."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json

import pytest
import torch

from tests.sampling import sampled, whole
from workbench.checkpoint.checkpoint import read, tensors, write
from workbench.errors import WorkbenchError
from workbench.loading.load import load
from workbench.measure import HOW, Measurement, measure_size
from workbench.steps import KINDS
from workbench.steps.recipe import Recipe, read_step, run
from workbench.task.batch import outputs_of

SUBJECTS = ("images", "vectors", "transformer")
# Small settings for steps whose defaults take long; a step that is not named here runs with its defaults.
# Augmentation is for images alone, and is tried in the tests of training.
QUICK = {"batch_size": 128, "epochs": 2, "augmentation": "none"}
# What all subjects can give up in the variant that is moved: half of the transformer's parameters are not in channels.
MOVED = {
    "prune_channels": {"amount": 0.25},
    "prune_channels_iteratively": {"amount": 0.25},
    "prune_heads": {"amount": 0.1},
    "factorize": {"amount": 0.25},
    "replace_head": {"classes": 12},  # and not the most that there may be
    "tie_layers": {"across": "places", "rank": 2},
}
# What comes before steps that need it, and what a step refuses to work on.
BEFORE = {"train_quantized": "quantize", "merge_factors": "factorize"}
REFUSED = {
    ("reestimate_norms", "transformer"): "no batch norm with running statistics",
    ("prune_heads", "images"): "no attention heads",
    ("prune_heads", "vectors"): "no attention heads",
    ("prune_blocks", "vectors"): "no residual branch",
    **{
        (kind, "vectors"): "it is for one image"
        for kind in ("resize_input", "grey_input", "reduce_input_bits", "byte_input")
    },
    ("resize_input", "transformer"): "the model does not run on 4 × 4 pixels",
    ("grey_input", "images"): "the images have one channel already",
    ("swap_activations", "images"): "no silu, sigmoid, tanh, gelu follows",
    ("swap_activations", "vectors"): "no silu, sigmoid, tanh, gelu follows",
    ("tie_layers", "images"): "no chosen layers are at the same place",
    ("tie_layers", "vectors"): "no chosen layers are at the same place",
}
BAD_TYPES = {bool: "yes", int: 1.5, float: "0.5", str: 3}


def steps(kind):
    """Return the step with its defaults (made quick), and with every field moved from them where it can be."""
    options = {option.name: option for option in KINDS[kind].options()}
    quick = {name: value for name, value in QUICK.items() if name in options}
    moved = {}
    for name, option in options.items():
        others = [choice for choice in option.choices if choice != option.default]
        if others:
            moved[name] = others[0]
        elif option.type is bool:
            moved[name] = name != "compiled" and not option.default  # which takes half a minute, and a compiler
        elif option.type is int and option.default == option.low == 0:
            moved[name] = int(option.high)  # zero means that a part of the step is switched off
    return {"defaults": KINDS[kind](**quick), "moved": KINDS[kind](**{**moved, **quick, **MOVED.get(kind, {})})}


def recipe_to(kind, variant, seed=0):
    """Return the step as a recipe, behind what it needs."""
    before = (steps(BEFORE[kind])[variant],) if kind in BEFORE else ()
    return Recipe((*before, steps(kind)[variant]), seed)


CASES = [(kind, variant) for kind in KINDS for variant in steps(kind)]
each_step = pytest.mark.parametrize(("kind", "variant"), CASES)
each_kind = pytest.mark.parametrize("kind", KINDS)


def subject_of(kind, variant="defaults"):
    """Return the subject that a case is tried with where one is enough: those that it does not refuse, in turn."""
    able = [name for name in SUBJECTS if (kind, name) not in REFUSED]
    return able[CASES.index((kind, variant)) % len(able)]


# Each step runs on one subject with its fields moved, every other with its defaults too, and all on every subject where
# the whole suite is asked for.
OFTEN = {case for number, case in enumerate(CASES) if case[1] == "moved" or number % 4 == 0}
RUNS = [
    pytest.param(
        kind, variant, name, marks=[] if (kind, variant) in OFTEN and name == subject_of(kind, variant) else [whole]
    )
    for kind, variant in CASES
    for name in (SUBJECTS if variant == "moved" else (subject_of(kind, variant),))
]


def skip_refused(kind, name, request):
    """Skip the test once the step was seen to refuse the subject."""
    if (kind, name) in REFUSED:
        with pytest.raises(WorkbenchError, match=REFUSED[kind, name]):
            run(request.getfixturevalue(name), recipe_to(kind, "defaults"))
        pytest.skip(REFUSED[kind, name])


@each_kind
def test_the_table_names_a_step_by_its_kind(kind):
    step = KINDS[kind]
    assert step.kind == kind
    assert step.title
    assert step.summary.endswith(".")
    assert dataclasses.fields(step)
    if step.strength:
        assert step.amounts
        assert step().with_strength("fc", step.amounts[0]).layers == "fc"


@each_kind
def test_what_a_search_varies_is_accepted(kind):
    step = KINDS[kind]
    assert step.stage is not None or not (step.searched or step.axes)
    for field, values in step.axes.items():
        assert field != step.strength
        for value in values:
            assert getattr(step(**{field: value}), field) == value


@each_kind
def test_every_field_says_what_it_is(kind):
    for option in KINDS[kind].options():
        assert option.help.endswith(".")
        assert option.check(option.default) == option.default
        if option.type in (int, float):
            assert option.low is not None
            assert option.high is not None
        assert option.parse(str(option.default)) == option.default


@each_step
def test_a_step_comes_back_from_json(kind, variant):
    step = steps(kind)[variant]
    again = read_step(json.loads(json.dumps(step.facts())))
    assert again == step
    assert type(again) is type(step)


@each_kind
def test_an_unknown_field_is_refused(kind):
    with pytest.raises(WorkbenchError, match=r"has no field strenght; it has layers, exclude"):
        KINDS[kind].read({"strenght": 0.5})


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, option.name) for kind in KINDS for option in KINDS[kind].options()], ids=str
)
def test_a_value_that_is_not_accepted_is_refused(kind, name):
    (option,) = [option for option in KINDS[kind].options() if option.name == name]
    bad = [BAD_TYPES[option.type]] if name not in ("layers", "exclude") else []
    bad += [option.low - 1] if option.low is not None else []
    bad += [option.high + 1] if option.high is not None else []
    bad += ["no such choice"] if option.choices else []
    bad += [float("nan")] if option.type is float else []
    bad += [True] if option.type in (int, float) else []
    for value in bad:
        with pytest.raises(WorkbenchError, match=rf"{KINDS[kind].title}: {name} must be"):
            KINDS[kind].read({name: value})


@each_kind
def test_layers_that_are_not_there_are_refused_with_those_there_are(kind, images):
    with pytest.raises(WorkbenchError, match=r"step 1 .*no layer matches 'conv9'.*conv1"):
        run(images, Recipe((KINDS[kind](layers="conv9"),)))


def fingerprint(model):
    return {
        "weights": {name: (id(value), value.clone()) for name, value in model.state_dict(keep_vars=True).items()},
        "modes": [module.training for module in model.modules()],
        "hooks": [(len(m._forward_hooks), len(m._forward_pre_hooks), len(m._backward_hooks)) for m in model.modules()],
        "grads": [(value.requires_grad, value.grad is None) for value in model.parameters()],
        "modules": [(name, type(module)) for name, module in model.named_modules()],
    }


def same(one, other):
    weights = all(
        one["weights"][name][0] == other["weights"][name][0]
        and torch.equal(one["weights"][name][1], other["weights"][name][1])
        for name in one["weights"]
    )
    return weights and all(one[key] == other[key] for key in one if key != "weights")


def equal_states(one, other):
    mine, yours = tensors(one.model), tensors(other.model)
    assert mine.keys() == yours.keys()
    assert all(torch.equal(mine[name], yours[name]) for name in mine)
    assert one.codings.keys() == other.codings.keys()
    assert (one.pruned, one.notes) == (other.pruned, other.notes)


@pytest.mark.parametrize(("kind", "variant", "name"), RUNS)
def test_the_same_recipe_gives_the_same_state_and_leaves_the_subject_alone(kind, variant, name, request):
    skip_refused(kind, name, request)
    subject = request.getfixturevalue(name)
    # A model in training mode is restored to it.
    subject.model.train()
    before, chance = fingerprint(subject.model), torch.random.get_rng_state()
    recipe = recipe_to(kind, variant, seed=7)
    try:
        first = run(subject, recipe)
        assert same(before, fingerprint(subject.model))
    finally:
        subject.model.eval()
    # What happened to the global generator in between must not matter.
    torch.rand(3)
    second = run(subject, Recipe.read(json.loads(json.dumps(recipe.facts()))))
    equal_states(first, second)
    torch.random.set_rng_state(chance)


@pytest.mark.parametrize("kind", sampled(KINDS, len(KINDS) // 2))
def test_a_step_is_measured_whole_exported_and_opened_again(kind, request, open_session, tmp_path):
    session = open_session(request.getfixturevalue(subject_of(kind)))
    for step in recipe_to(kind, "moved"):
        found = session.apply(step)
    assert set(HOW) < {field.name for field in dataclasses.fields(Measurement)}
    assert found.unavailable == {}
    assert set(found.latency) == {"eager", "onnxruntime"}
    assert found.score.exact
    assert min(found.params, found.nonzero, found.macs, found.peak_memory, found.energy, found.bytes.total) > 0
    assert Measurement.read(json.loads(json.dumps(found.facts()))) == found
    folder = session.export(tmp_path / "out", ("safetensors",))
    again = load(folder, task=session.subject.task)
    assert again.codings.keys() == session.state.codings.keys()
    inputs = session.subject.task.example(64)
    with torch.no_grad():
        outputs, wanted = (outputs_of(model, inputs) for model in (again.model, session.state.model.eval()))
    torch.testing.assert_close(outputs, wanted, rtol=1e-5, atol=1e-5)
    replayed = run(session.subject, Recipe.load(folder / "recipe.json"))
    assert measure_size(replayed.model, replayed.codings, session.subject) == found.bytes
    equal_states(replayed, session.state)


@each_kind
def test_a_state_that_was_built_is_never_edited_by_the_next_step(kind, request):
    subject = request.getfixturevalue(subject_of(kind))
    earlier = Recipe((steps("prune")["defaults"], *recipe_to(kind, "moved").steps[:-1]))
    first = run(subject, earlier)
    before = copy.deepcopy(first.model.state_dict())
    run(subject, earlier.then(steps(kind)["moved"]), start=(len(earlier), first))
    after = first.model.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)


def drawn(first, second):
    """Return whether a pair is one of some eighth of all, whichever other steps there are."""
    return hashlib.sha256(f"{first} {second}".encode()).digest()[0] % 8 == 0


# All pairs would be a thousand: some are tried, and each step with itself.
PAIRS = [(one, other) for one in KINDS for other in KINDS if one == other or drawn(one, other)]


# Those of them that do not go together, and why; any other pair does.
REFUSED_PAIRS = {
    **{
        (first, "prune_heads"): "no attention heads"
        for first in ("prune", "prune_gradually", "train_quantized", "factorize")
    },
    **{(first, "swap_activations"): "gelu.* follows" for first in ("prune", "fold_norms", "swap_activations")},
    **{(first, "tie_layers"): "no chosen layers have one shape" for first in ("find_ticket", "reduce_input_bits")},
    **{
        (first, "grey_input"): "one channel already"
        for first in ("grey_input", "entropy_code", "correct_bias", "reestimate_norms", "distill")
    },
    ("byte_input", "byte_input"): "bytes already",
    ("prune_blocks", "prune_blocks"): "no residual branch",
    ("quantize_logarithmic", "prune_gradually"): "off the grid",
    ("keep_signs", "prune_gradually"): "off the grid",
    ("share_weights", "prune_channels_iteratively"): "off the grid",
    ("keep_signs", "reconstruct"): "on grids that would no longer fit",
    ("train_quantized", "factorize"): "activations are on grids",
    ("train_quantized", "replace_head"): "activations are on grids",
    ("swap_activations", "reestimate_norms"): "no batch norm with running statistics",
    ("equalize", "reconstruct"): "bn1 is folded",
}


@pytest.mark.parametrize(
    ("first", "second"), sampled(PAIRS, len(PAIRS) // 12, *sorted(REFUSED_PAIRS.keys() & set(PAIRS)))
)
def test_two_steps_go_together_or_say_why_not(first, second, request, tmp_path):
    subject = request.getfixturevalue(next(name for name in SUBJECTS if (first, name) not in REFUSED))
    recipe = recipe_to(first, "moved").then(steps(second)["moved"])
    if (first, second) in REFUSED_PAIRS:
        with pytest.raises(
            WorkbenchError, match=rf"^step {len(recipe)} \({second}\): .*({REFUSED_PAIRS[first, second]})"
        ):
            run(subject, recipe)
        return
    state = run(subject, recipe)
    write(tmp_path / "model", state.model, state.codings)
    assert (tmp_path / "model").stat().st_size == measure_size(state.model, state.codings, subject).total
    values, _ = read(tmp_path / "model")
    inputs = subject.task.example(32)
    assert all(torch.equal(values[name], value) for name, value in tensors(state.model).items())
    with torch.no_grad():
        assert bool(outputs_of(state.model.eval(), inputs).isfinite().all())
