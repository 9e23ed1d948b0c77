"""Presets: plain recipes that do what they are called."""

from __future__ import annotations

import pytest

from workbench.measure import measure_size
from workbench.search.presets import PRESETS, smaller
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
