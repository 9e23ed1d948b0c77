"""Fine-tuning: it recovers, keeps zeros, trains what it was told, and can be stopped."""

import copy
import math

import pytest
import torch

from workbench.errors import Cancelled, WorkbenchError
from workbench.jobs.progress import Progress
from workbench.model.subject import Subject
from workbench.steps import FineTune, Prune, PruneChannels
from workbench.steps.recipe import Recipe, run
from workbench.steps.train.training import judge

HARD, HALF = Prune(amount=0.9), Prune(amount=0.6)


def test_what_was_pruned_stays_zero_and_the_score_recovers(images):
    pruned = run(images, Recipe((HARD,)))
    tuned = run(images, Recipe((HARD, FineTune(epochs=2, learning_rate=0.02))))
    assert judge(tuned.model, images.task) > judge(pruned.model, images.task) + 0.05
    for name in pruned.pruned:
        before, after = pruned.model.get_parameter(name), tuned.model.get_parameter(name)
        assert torch.equal(before == 0, after == 0)
        assert not after.detach()[after == 0].signbit().any()
        assert not torch.equal(before, after)


def test_the_trained_model_is_at_rest(images):
    tuned = run(images, Recipe((FineTune(batch_size=200),)))
    assert not any(module.training for module in tuned.model.modules())
    assert all(parameter.grad is None for parameter in tuned.model.parameters())
    assert all(parameter.requires_grad for parameter in tuned.model.parameters())


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_only_the_chosen_layers_are_trained(images, optimizer):
    tuned = run(images, Recipe((HALF, FineTune(layers="fc", optimizer=optimizer, learning_rate=0.02))))
    before = run(images, Recipe((HALF,))).model.state_dict()
    moved = {name for name, value in tuned.model.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {"fc.weight", "fc.bias"}, "running statistics of norms elsewhere stay too"
    assert all(parameter.requires_grad for parameter in tuned.model.parameters())


def test_what_was_frozen_is_frozen_again_after_training(images):
    model = copy.deepcopy(images.model)
    model.conv1.weight.requires_grad_(False)
    tuned = run(Subject("frozen", model, images.task), Recipe((FineTune(batch_size=200, epochs=1),)))
    assert [name for name, value in tuned.model.named_parameters() if not value.requires_grad] == ["conv1.weight"]


def test_a_training_that_helps_nothing_leaves_what_was(images):
    cut = run(images, Recipe((PruneChannels(amount=0.1),)))
    after = run(images, Recipe((PruneChannels(amount=0.1), FineTune(learning_rate=1.0, batch_size=16))))
    assert judge(cut.model, images.task) > 0.5
    assert all(torch.equal(one, cut.model.state_dict()[name]) for name, one in after.model.state_dict().items())


def test_a_training_that_runs_away_says_what_to_do(regression):
    with pytest.raises(WorkbenchError, match=r"infinite or NaN; use a smaller learning rate"):
        run(
            regression,
            Recipe((FineTune(optimizer="sgd", learning_rate=1.0, epochs=100, weight_decay=0.0, batch_size=1),)),
        )


def test_it_reports_every_batch_and_stops_when_told(images):
    ticks, stop = [], []

    def report(tick):
        ticks.append(tick)
        if len(ticks) == 5:
            stop.append(True)

    with pytest.raises(Cancelled):
        run(images, Recipe((FineTune(epochs=3, batch_size=64),)), Progress(report, lambda: bool(stop)))
    assert len(ticks) == 5
    losses = [tick.figures.loss for tick in ticks if tick.figures and tick.figures.loss is not None]
    assert losses
    assert all(math.isfinite(loss) for loss in losses)
    assert [tick.done for tick in ticks] == sorted(tick.done for tick in ticks)


def test_another_seed_gives_another_order(images):
    one, two, again = (run(images, Recipe((HALF, FineTune()), seed)).model for seed in (1, 2, 1))
    assert torch.equal(one.fc.weight, again.fc.weight)
    assert not torch.equal(one.fc.weight, two.fc.weight)


def test_a_task_without_train_data_cannot_train(images):
    from workbench.model.subject import Subject
    from workbench.task.task import Task

    bare = Subject("bare", images.model, Task(validation=images.task.split("validation")))
    with pytest.raises(WorkbenchError, match=r"step 1 \(fine_tune\): Fine-tune: it needs train data"):
        run(bare, Recipe((FineTune(),)))
