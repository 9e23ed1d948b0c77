"""Recipes are plain JSON, and nothing else is taken for one."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

import workbench as wb
from workbench.errors import WorkbenchError
from workbench.steps import KINDS, Prune, Quantize
from workbench.steps.recipe import Recipe, read_step, run, step_code

GLOBS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)


@st.composite
def steps(draw):
    """Return any step there is, with any values that its fields accept."""
    step = KINDS[draw(st.sampled_from(sorted(KINDS)))]
    values = {}
    for option in step.options():
        if option.choices:
            values[option.name] = draw(st.sampled_from(option.choices))
        elif option.type is str:
            values[option.name] = draw(GLOBS)
        elif option.type is bool:
            values[option.name] = draw(st.booleans())
        else:
            numbers = st.integers if option.type is int else st.floats
            values[option.name] = draw(numbers(option.low, option.high))
    try:
        return step(**values)
    except WorkbenchError:  # single values that are accepted may not go together
        return step()


recipes = st.builds(Recipe, st.lists(steps(), max_size=5).map(tuple), st.integers(0, 2**31))


@given(recipes)
def test_a_recipe_comes_back_from_json(recipe):
    again = Recipe.read(json.loads(json.dumps(recipe.facts())))
    assert again == recipe
    assert again.key == recipe.key


@given(recipes, recipes)
def test_equal_keys_mean_equal_recipes(one, other):
    assert (one.key == other.key) == (one == other)


@given(recipes)
def test_the_code_makes_the_same_steps(recipe):
    lines = [step_code(step) for step in recipe]
    assert recipe.code() == "\n".join(lines)
    made = tuple(eval(line, {"wb": wb}) for line in lines)  # noqa: S307  # what step_code wrote is to be run
    assert made == recipe.steps


def test_a_file_holds_it(tmp_path):
    recipe = Recipe((wb.Prune(amount=0.7), wb.Quantize(bits=4)), seed=3)
    recipe.save(tmp_path / "recipe.json")
    assert Recipe.load(tmp_path / "recipe.json") == recipe
    assert recipe.then(wb.FineTune()).steps[:2] == recipe.steps
    assert recipe.then(wb.FineTune()).seed == 3


GOOD = {"format": "workbench recipe", "version": 1, "seed": 0, "steps": []}


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ([], "this is no recipe"),
        ("text", "this is no recipe"),
        ({}, "this is no recipe"),
        ({**GOOD, "version": 2}, "recipe version 2 is not read"),
        ({**GOOD, "author": "me"}, "a recipe has no field author"),
        ({**GOOD, "seed": "x"}, "whole number"),
        ({**GOOD, "seed": True}, "whole number"),
        ({**GOOD, "seed": -1}, "whole number"),
        ({**GOOD, "seed": 2**70}, "whole number"),
        ({**GOOD, "steps": "prune"}, "list"),
        ({**GOOD, "steps": {"kind": "prune"}}, "list"),
        ({**GOOD, "steps": ["prune"]}, "step 1: a step is a JSON object"),
        ({**GOOD, "steps": [{"kind": "prune"}, {"amount": 1}]}, "step 2: a step is a JSON object"),
        ({**GOOD, "steps": [{"kind": "os.system"}]}, "step 1: kind 'os.system' is not known; known are prune"),
        ({**GOOD, "steps": [{"kind": ["prune"]}]}, "is not known"),
        ({**GOOD, "steps": [{"kind": "prune", "amount": "half"}]}, "step 1: Prune weights: amount must be float"),
        ({**GOOD, "steps": [{"kind": "prune", "layers": 5}]}, "layers must be"),
        ({**GOOD, "steps": [{"kind": "prune", "layers": None}]}, "layers must be"),
    ],
)
def test_anything_else_is_refused(facts, said):
    with pytest.raises(WorkbenchError, match=said):
        Recipe.read(facts)


@pytest.mark.parametrize("text", ["", "{", '{"format": NaN', "\x00\x01", "[" * 5000])
def test_a_file_that_is_no_json_is_refused(tmp_path, text):
    path = tmp_path / "r.json"
    path.write_text(text)
    with pytest.raises(WorkbenchError, match=r"r\.json"):
        Recipe.load(path)


def test_a_missing_or_binary_file_is_refused(tmp_path):
    with pytest.raises(WorkbenchError, match="cannot be read as a recipe"):
        Recipe.load(tmp_path / "none.json")
    (tmp_path / "b.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(WorkbenchError, match="cannot be read as a recipe"):
        Recipe.load(tmp_path / "b.json")


def test_layers_may_be_given_one_by_one():
    assert wb.Prune(layers=("conv1", "fc")) == wb.Prune(layers="conv1, fc")
    assert read_step({"kind": "prune", "layers": ["conv1", "fc"]}) == wb.Prune(layers="conv1, fc")


def test_a_recipe_goes_on_from_a_state(images):
    recipe = Recipe((wb.Prune(amount=0.5), wb.Quantize()))
    first = run(images, Recipe(recipe.steps[:1]))
    whole, rest = run(images, recipe), run(images, recipe, start=(1, first))
    for name, value in whole.model.state_dict().items():
        assert value.equal(rest.model.state_dict()[name])


def test_an_error_names_its_step(images):
    with pytest.raises(WorkbenchError, match=r"^step 2 \(prune\): no layer matches 'nope'; there are"):
        run(images, Recipe((wb.Prune(), wb.Prune(layers="nope"))))


def test_recipes_are_told_apart_step_by_step():
    one, other = Recipe((Prune(), Quantize())), Recipe((Prune(), Quantize(bits=4)))
    assert one.differences(other) == ((" ", "wb.Prune()"), ("-", "wb.Quantize()"), ("+", "wb.Quantize(bits=4)"))
    assert one.differences(one) == ((" ", "wb.Prune()"), (" ", "wb.Quantize()"))
