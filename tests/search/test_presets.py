"""Presets: plain recipes that do what they are called."""

from __future__ import annotations

import pytest

from workbench import formatting
from workbench.errors import WorkbenchError
from workbench.measure import measure_size
from workbench.search.presets import PRESETS, smaller
from workbench.steps import Quantize
from workbench.steps.recipe import Recipe, run


@pytest.mark.parametrize("factor", [2.0, 4.0])
def test_the_file_gets_as_much_smaller_as_was_asked_for(images, factor):
    recipe = smaller(images, factor)
    state = run(images, recipe)
    before = measure_size(images.model, images.codings, images).total
    assert before / measure_size(state.model, state.codings, images).total >= factor
    assert recipe.steps[0].bits == 8 or factor > 3


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_a_recipe_like_any_other(name, images):
    recipe = PRESETS[name].recipe(images)
    assert len(recipe)
    assert Recipe.read(recipe.facts()) == recipe


def test_what_a_preset_costs_is_measured_together_before_it_is_done(images, open_session):
    session = open_session(images)
    steps = PRESETS["smaller"].recipe(images).steps
    found = session.foresee(steps)
    assert not session.recipe.steps
    said = PRESETS["smaller"].outcome(images, found)
    assert formatting.change(found.score) in said
    assert "× smaller" in said
    assert "not" not in said
    applied = session.extend(steps)
    assert (applied.score, applied.bytes.total) == (found.score, found.bytes)


def test_a_promise_that_is_not_kept_is_told(images, open_session):
    session, preset = open_session(images), PRESETS["smaller"]
    assert preset.outcome(images, session.foresee((Quantize(bits=8),))).endswith("× smaller, not 4 ×")
    refused = preset.outcome(images, session.foresee((Quantize(layers="nothing"),)))
    assert refused.startswith("measured together: these steps cannot be done here: ")
    with pytest.raises(WorkbenchError, match="no steps"):
        session.foresee(())
