"""Gradual pruning: a cubic schedule, nothing grows back, and the amount is exact in the end."""

from itertools import pairwise

import pytest
import torch

from workbench.errors import WorkbenchError
from workbench.steps import KINDS, Prune, PruneGradually, Quantize
from workbench.steps.prune.prune_gradually import cubic, exchanged, regrown, without_gone
from workbench.steps.recipe import Recipe, run
from workbench.steps.train.training import Training, judge


def test_the_schedule_is_cubic():
    assert [cubic(done, 0.8) for done in (0.0, 0.5, 1.0, 2.0)] == pytest.approx([0.0, 0.8 * 7 / 8, 0.8, 0.8])
    steps = [cubic(done / 10, 0.9) for done in range(11)]
    assert steps == sorted(steps)
    assert steps[1] - steps[0] > 20 * (steps[10] - steps[9])


@pytest.mark.parametrize("ramp", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("ranking", ["local", "global"])
def test_in_the_end_exactly_the_amount_is_gone(images, ramp, ranking):
    step = PruneGradually(amount=0.7, ramp=ramp, epochs=2, ranking=ranking, learning_rate=0.01)
    state = run(images, Recipe((step,)))
    weights = [state.model.get_parameter(name) for name in sorted(state.pruned)]
    assert len(weights) == 5
    zeros = [int((weight == 0).sum()) for weight in weights]
    if ranking == "local":
        assert zeros == [int(0.7 * weight.numel()) for weight in weights]
    assert sum(zeros) <= int(0.7 * sum(weight.numel() for weight in weights))
    assert sum(zeros) > 0.69 * sum(weight.numel() for weight in weights)


def test_what_is_gone_stays_gone_and_more_goes_each_time(images, monkeypatch):
    seen = []
    hold = Training.hold

    def watch(training):
        hold(training)
        seen.append({name: mask.clone() for name, mask in training.masks.items()})

    monkeypatch.setattr(Training, "hold", watch)
    run(images, Recipe((PruneGradually(amount=0.9, epochs=2, importance="taylor"),)))
    counts = [sum(int((~mask).sum()) for mask in masks.values()) for masks in seen]
    assert counts == sorted(counts)
    assert len(set(counts)) == 9
    for before, after in pairwise(seen):
        assert not any(bool((after[name] & ~mask).any()) for name, mask in before.items())


def test_weights_come_back_where_the_loss_is_steepest():
    masks = {"a": torch.tensor([True, True, True, False, False, False])}
    fewer = {"a": torch.tensor([True, False, False, False, False, False])}
    slopes = {"a": torch.tensor([9.0, 0.1, -3.0, 0.2, 0.0, 8.0])}
    assert regrown(masks, fewer, slopes, {})["a"].nonzero().flatten().tolist() == [0, 2, 5]
    allowed = {"a": torch.tensor([True, True, True, True, True, False])}
    assert regrown(masks, fewer, slopes, allowed)["a"].nonzero().flatten().tolist() == [0, 2, 3]
    assert exchanged(0.0, 0.4) == 0.4
    assert exchanged(0.5, 0.4) == pytest.approx(0.2)
    assert exchanged(1.0, 0.4) == 0.0


@pytest.mark.parametrize("ranking", ["local", "global"])
def test_with_regrowth_as_many_weights_are_gone_and_some_came_back(images, monkeypatch, ranking):
    seen = []
    update = dict.update

    class Masks(dict):
        def update(self, other):
            seen.append((dict(self), dict(other)))
            update(self, other)

    begin = Training.__init__

    def watched(self, *args, **kwargs):
        begin(self, *args, **kwargs)
        self.masks = Masks(self.masks)

    monkeypatch.setattr(Training, "__init__", watched)
    first = Prune(amount=0.3, layers="conv2")
    steps = [PruneGradually(amount=0.8, regrow=part, ranking=ranking, epochs=2) for part in (0.0, 0.3)]
    plain, grown = (run(images, Recipe((first, step))) for step in steps)
    zeros = [sum(int((state.model.get_parameter(n) == 0).sum()) for n in state.pruned) for state in (plain, grown)]
    assert zeros[0] == zeros[1]
    later = [(after, before) for before, after in seen[-8:]]
    back = [int((after[name] & ~before[name]).sum()) for after, before in later for name in after.keys() & before]
    assert sum(back) > 100
    old = run(images, Recipe((first,))).model.conv2.weight == 0
    assert bool((grown.model.conv2.weight[old] == 0).all())


def test_regrowth_of_a_pattern_is_refused_before_any_work(images):
    step = PruneGradually(regrow=0.2, pattern="n:m")
    assert "single weights" in step.lacks(images.task)
    with pytest.raises(WorkbenchError, match="single weights"):
        run(images, Recipe((step,)))


def test_it_loses_less_than_pruning_at_once(images):
    gradual = PruneGradually(amount=0.9, ranking="global", batch_size=16, learning_rate=0.01)
    once = Prune(amount=0.9, ranking="global")
    scores = [judge(run(images, Recipe((step,))).model, images.task) for step in (gradual, once)]
    assert scores[0] > scores[1] + 0.3


def test_an_earlier_mask_and_its_pattern_are_kept(images):
    first = Prune(amount=0.5, pattern="n:m", layers="conv2")
    state = run(images, Recipe((first, PruneGradually(amount=0.75, pattern="n:m", layers="conv2, conv3", epochs=1))))
    for name in ("conv2", "conv3"):
        groups = state.model.get_submodule(name).weight.movedim(1, -1).unflatten(-1, (-1, 4))
        assert int((groups != 0).sum(-1).max()) == 1
    old = run(images, Recipe((first,))).model.conv2.weight == 0
    assert bool((state.model.conv2.weight[old] == 0).all())
    assert state.pruned == {"conv2.weight", "conv3.weight"}


def test_what_is_gone_is_ranked_last():
    found = without_gone({"a": torch.tensor([3.0, 1.0]), "b": torch.ones(1)}, {"a": torch.tensor([False, True])})
    assert found["a"].tolist() == [-torch.inf, 1.0]
    assert found["b"].tolist() == [1.0]


@pytest.mark.parametrize("kind", ["prune_gradually", "find_ticket"])
def test_weights_on_a_grid_are_refused(images, kind):
    with pytest.raises(WorkbenchError, match=rf"step 2 \({kind}\): plain training would move .* put {kind} before"):
        run(images, Recipe((Quantize(), KINDS[kind]())))
