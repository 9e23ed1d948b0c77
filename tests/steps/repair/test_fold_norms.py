"""Folded norms: the same outputs in fewer numbers."""

import torch

from workbench.measure import measure_size
from workbench.steps import FoldNorms, Prune, Quantize
from workbench.steps.context import Context
from workbench.steps.recipe import Recipe, run
from workbench.steps.repair.fold_norms import norms


def outputs(subject, state):
    with torch.no_grad():
        return state.model(*subject.task.split("validation").batch(range(32))[0])


def test_outputs_stay_and_the_norms_go(images):
    plain, folded = run(images, Recipe(())), run(images, Recipe((FoldNorms(),)))
    assert norms(plain.model) > 0 == norms(folded.model)
    torch.testing.assert_close(outputs(images, folded), outputs(images, plain), rtol=1e-4, atol=1e-4)
    sizes = [measure_size(each.model, each.codings, images).total for each in (plain, folded)]
    assert sizes[1] < sizes[0]


def test_pruned_weights_stay_zero_and_their_names_known(images):
    state = run(images, Recipe((Prune(amount=0.5), FoldNorms())))
    assert state.pruned
    for name in state.pruned:
        assert float((state.model.get_parameter(name) == 0).float().mean()) > 0.4


def test_weights_that_leave_their_grid_are_named(images):
    state = run(images, Recipe((Quantize(bits=4, granularity="tensor"), FoldNorms())))
    assert any("norm was folded" in note for note in state.notes)


def test_a_model_without_norms_stays_as_it_is(transformer):
    before = run(transformer, Recipe(()))
    state = FoldNorms().build(before, Context(transformer))
    assert state.model is before.model
    assert "no batch norm" in state.notes[-1]
