"""Lottery tickets: each round sets back what is left, and the last training starts where the first did."""

from itertools import pairwise

import torch

from tests import nets
from workbench.steps import FindTicket, FineTune, Prune
from workbench.steps.prune.find_ticket import drawn_again, smallest_gone
from workbench.steps.recipe import Recipe, run
from workbench.steps.train.training import Training, judge

NAMES = [f"{name}.weight" for name in ("conv1", "conv2", "conv3", "hidden", "fc")]


def watched(monkeypatch, images, step):
    """Run a step; return the weights and masks with which each of its trainings started."""
    starts, make = [], Training.__init__

    def begin(training, model, *arguments, **options):
        make(training, model, *arguments, **options)
        weights = {name: model.get_parameter(name).detach().clone() for name in NAMES}
        starts.append((weights, {name: mask.clone() for name, mask in training.masks.items()}))

    monkeypatch.setattr(Training, "__init__", begin)
    return run(images, Recipe((step,), seed=3)), starts


def test_every_training_starts_from_the_same_weights_with_fewer_of_them(images, monkeypatch):
    step = FindTicket(amount=0.784, rounds=3, epochs=1)
    state, starts = watched(monkeypatch, images, step)
    assert len(starts) == 4
    for weights, _ in starts:
        assert all(torch.equal(weights[name], images.model.get_parameter(name)) for name in NAMES)
    total = sum(images.model.get_parameter(name).numel() for name in NAMES)
    gone = [sum(int((~mask).sum()) for mask in masks.values()) for _, masks in starts]
    # 0.784 is 1 - 0.6 ** 3: each round takes four in ten of what is left.
    assert gone[0] == 0
    assert [round(count / total, 2) for count in gone[1:]] == [0.4, 0.64, 0.78]
    assert gone[3] == int(0.784 * total)
    for before, after in pairwise(starts):
        assert not any(bool((after[1][name] & ~mask).any()) for name, mask in before[1].items())
    assert state.pruned == set(NAMES)
    for name in NAMES:
        assert torch.equal(state.model.get_parameter(name) == 0, ~starts[3][1][name])


def test_late_rewinding_goes_back_to_an_early_epoch(images, monkeypatch):
    _, starts = watched(monkeypatch, images, FindTicket(rounds=2, epochs=2, rewind=0.5))
    first, second, third = (weights for weights, _ in starts)
    assert torch.equal(second["conv2.weight"], third["conv2.weight"])
    assert not torch.equal(first["conv2.weight"], second["conv2.weight"])


def test_a_random_start_is_the_seeds(images, monkeypatch):
    _, one = watched(monkeypatch, images, FindTicket(rounds=1, epochs=1, start="random"))
    _, two = watched(monkeypatch, images, FindTicket(rounds=1, epochs=1, start="random"))
    assert torch.equal(one[0][0]["conv2.weight"], two[0][0]["conv2.weight"])
    assert not torch.equal(one[0][0]["conv2.weight"], images.model.conv2.weight)
    model, _ = nets.build("plain")
    chance = torch.random.get_rng_state()
    drawn_again(model, 1)
    assert torch.equal(chance, torch.random.get_rng_state())
    assert float(model.bn1.running_var.sum()) == 8.0


def test_a_ticket_scores_better_than_pruning_at_once_and_can_be_trained_on(images):
    ticket = FindTicket(amount=0.9, rounds=2, epochs=1, learning_rate=0.02)
    found, once = (run(images, Recipe((step,))).model for step in (ticket, Prune(amount=0.9, ranking="global")))
    assert judge(found, images.task) > judge(once, images.task) + 0.05
    again = run(images, Recipe((ticket, FineTune(epochs=1)))).model
    assert all(bool((again.get_parameter(n)[found.get_parameter(n) == 0] == 0).all()) for n in NAMES)


def test_the_smallest_go_and_what_is_gone_counts():
    weights = {"a": torch.tensor([0.1, -3.0, 0.0, 2.0]), "b": torch.tensor([0.5, 4.0])}
    masks = {"a": torch.tensor([True, False, True, True])}
    found = smallest_gone(weights, masks, 0.5)
    assert found["a"].tolist() == [False, False, False, True]
    assert found["b"].tolist() == [True, True]
