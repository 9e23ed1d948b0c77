"""Re-estimated norms: statistics of the data, whatever the batches, and nothing else."""

import pytest
import torch

from workbench.errors import WorkbenchError
from workbench.model.subject import Subject
from workbench.steps import Equalize, Prune, ReestimateNorms
from workbench.steps.recipe import Recipe, run
from workbench.steps.train.training import judge
from workbench.task.task import Task

NORMS = ("bn1", "bn2", "bn3")


def train_inputs(subject):
    data = subject.task.split("train")
    return data.batch(range(len(data)))[0]


def entering(model, names, inputs):
    """Return what enters the named norms in evaluation mode."""
    found = {}
    handles = [
        model.get_submodule(name).register_forward_pre_hook(lambda _, given, name=name: found.update({name: given[0]}))
        for name in names
    ]
    with torch.no_grad():
        model(*inputs)
    for handle in handles:
        handle.remove()
    return found


def test_one_batch_of_all_gives_every_norm_its_own_statistics(images):
    state = run(images, Recipe((Prune(amount=0.6), ReestimateNorms(batch_size=600))))
    seen = entering(state.model, NORMS, train_inputs(images))
    for name in NORMS:
        norm, rows = state.model.get_submodule(name), seen[name].double().transpose(0, 1).flatten(1)
        torch.testing.assert_close(norm.running_mean.double(), rows.mean(1), rtol=1e-4, atol=1e-5)
        # A norm divides by the biased variance of a batch and keeps the unbiased one; they differ by one in n.
        torch.testing.assert_close(norm.running_var.double(), rows.var(1), rtol=1e-3, atol=1e-6)


def test_the_first_norm_does_not_know_the_batches(images):
    first = [run(images, Recipe((ReestimateNorms(batch_size=size),))).model.bn1 for size in (600, 64, 7)]
    for norm in first[1:]:
        torch.testing.assert_close(norm.running_mean, first[0].running_mean, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(norm.running_var, first[0].running_var, rtol=1e-5, atol=1e-6)


def test_only_statistics_change_and_the_score_recovers(images):
    rough = run(images, Recipe((Prune(amount=0.85),)))
    state = run(images, Recipe((Prune(amount=0.85), ReestimateNorms())))
    before, after = rough.model.state_dict(), state.model.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {f"{name}.running_{what}" for name in NORMS for what in ("mean", "var")}
    assert judge(state.model, images.task) > judge(rough.model, images.task) + 0.05
    assert not any(module.training or module._forward_pre_hooks for module in state.model.modules())


def test_chosen_layers_name_the_norms_behind_them(images):
    state = run(images, Recipe((ReestimateNorms(layers="conv2, fc"),)))
    before, after = images.model.state_dict(), state.model.state_dict()
    assert {name for name in before if not torch.equal(before[name], after[name])} == {
        "bn2.running_mean", "bn2.running_var",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["transformer", "regression"])
def test_a_model_without_batch_norms_is_refused(name, request):
    with pytest.raises(WorkbenchError, match=r"step 1 \(reestimate_norms\): .*there is no batch norm with running"):
        run(request.getfixturevalue(name), Recipe((ReestimateNorms(),)))


def test_norms_that_were_folded_or_not_chosen_are_not_there(images):
    for recipe in ((Equalize(), ReestimateNorms()), (ReestimateNorms(layers="fc"),)):
        with pytest.raises(WorkbenchError, match="there is no batch norm with running statistics behind"):
            run(images, Recipe(recipe))


def test_one_sample_is_too_few(vectors):
    inputs, targets = vectors.task.split("train").batch([0])
    few = Subject("few", vectors.model, Task(train=(inputs[0], targets), validation=(inputs[0], targets)))
    with pytest.raises(WorkbenchError, match="one train sample has no variance; it needs two or more"):
        run(few, Recipe((ReestimateNorms(),)))
