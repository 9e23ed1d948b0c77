"""Training that stops once it is good enough, by the lower end of an interval, and says how far it got."""

import pytest
import torch

from workbench.errors import WorkbenchError
from workbench.model.subject import Subject
from workbench.steps import FineTune, Prune, PruneChannelsIteratively
from workbench.steps.recipe import Recipe, run
from workbench.steps.train.goal import Goal, scored
from workbench.steps.train.gradient_step import by_depth
from workbench.steps.train.training import judged
from workbench.task.task import Task

PRUNED = Prune(amount=0.6)


def test_the_lower_end_decides(images):
    goal = Goal(images, 0.01)
    assert goal.reached(images.model)
    rough = run(images, Recipe((PRUNED,))).model
    inputs, targets = images.task.split("validation").batch(range(600))
    with torch.no_grad():
        right = [(model(*inputs).argmax(1) == targets).double() for model in (images.model, rough)]
    gaps = right[1] - right[0]
    low = float(gaps.mean() - 1.96 * gaps.std() / 600**0.5)
    assert not Goal(images, -low - 0.001).reached(rough)
    assert Goal(images, -low + 0.001).reached(rough)
    # The mean alone would have been enough.
    assert float(gaps.mean()) > low + 0.002


def test_training_stops_where_it_was_good_enough_and_says_so(images):
    easy = run(images, Recipe((PRUNED, FineTune(epochs=3, until=0.3))))
    (note,) = easy.notes
    assert note.startswith("fine-tune: stopped after epoch 1 of 3, ")
    assert "600 validation samples, where -0.3 was asked for" in note
    hard = Prune(amount=0.95)
    once = run(images, Recipe((hard, FineTune(epochs=2, until=1e-6))))
    assert once.notes[0].startswith("fine-tune: not near enough after epoch 2 of 2, ")
    plain = run(images, Recipe((hard, FineTune(epochs=2))))
    for name, value in plain.model.state_dict().items():
        assert torch.equal(value, once.model.state_dict()[name])


def test_rounds_end_sooner_too(images):
    step = PruneChannelsIteratively(epochs=4, rounds=2, amount=0.1, until=0.5)
    assert "round 2 of 2, epoch 1 of 4" in run(images, Recipe((step,))).notes[-1]


def test_a_metric_of_all_samples_together_has_no_such_goal(images):
    (inputs,), labels = images.task.split("train").batch(range(64))
    task = Task(train=(inputs, labels), validation=(inputs, labels), metric=spread, loss="cross_entropy")
    with pytest.raises(WorkbenchError, match="until compares sample by sample, and spread has no result"):
        run(Subject("whole", images.model, task), Recipe((FineTune(until=0.1),)))


def spread(outputs, targets):
    """One number for all samples, and not the mean of theirs."""
    return outputs.std() * len(outputs) ** 0.5


def test_a_score_of_sums_has_the_interval_of_a_ratio(images):
    (inputs,), labels = images.task.split("validation").batch(range(600))
    task = Task(train=(inputs, labels), validation=(inputs, labels), metric="f1")
    rough = run(images, Recipe((PRUNED,))).model
    before, after = (scored(model, task) for model in (images.model, rough))
    gap, width = after[0] - before[0], float((after[1] - before[1]).std()) / 600**0.5
    drawn = torch.Generator().manual_seed(0)
    results = [torch.cat([task.metric.values(*part) for part in judged(net, task)]) for net in (images.model, rough)]
    again = []
    for _ in range(300):
        taken = torch.randint(0, 600, (600,), generator=drawn)
        one, other = (float(task.metric.combine(found[taken].sum(0))) for found in results)
        again.append(other - one)
    assert gap == pytest.approx(sum(again) / 300, abs=0.005)
    assert width == pytest.approx(float(torch.tensor(again).std()), rel=0.2)


def test_the_first_layers_learn_least(images):
    parts = by_depth(images.model, list(images.model.parameters()))
    assert [len(part) for part in parts] == [4, 3, 3, 2, 2]
    slow, fast = (run(images, Recipe((FineTune(epochs=1, depth_decay=decay),))).model for decay in (0.1, 1.0))
    before = images.model.conv1.weight.detach()
    moved = [float((net.conv1.weight.detach() - before).abs().mean()) for net in (slow, fast)]
    assert moved[0] < 0.05 * moved[1]
    assert not torch.equal(slow.fc.weight, images.model.fc.weight)
