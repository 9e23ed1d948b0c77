"""Channels that go in rounds: how much is left after each, and that it is trained in between."""

import pytest

from workbench.errors import WorkbenchError
from workbench.jobs.progress import Tick
from workbench.measure.compute import count_macs
from workbench.steps import Context, Prune, PruneChannelsIteratively, Quantize, State
from workbench.steps.recipe import Recipe, run


def macs(subject, model):
    return count_macs(model, subject.task.example(2))


def test_the_budget_is_met_in_the_end_and_by_the_same_part_in_every_round(images, monkeypatch):
    seen = []
    smaller = PruneChannelsIteratively._smaller

    def watched(self, state, context, left, whole):
        found = smaller(self, state, context, left, whole)
        seen.append(macs(images, found[0].model))
        return found

    monkeypatch.setattr(PruneChannelsIteratively, "_smaller", watched)
    state = run(images, Recipe((PruneChannelsIteratively(amount=0.75, budget="macs", rounds=2, batch_size=128),)))
    whole = macs(images, images.model)
    assert seen[-1] == macs(images, state.model)
    for found, left in zip(seen, (0.5, 0.25), strict=True):
        assert left - 0.15 < found / whole <= left


def test_channels_count_as_they_are_asked_for(images):
    step = PruneChannelsIteratively(amount=0.5, rounds=3, budget="channels", ranking="local", batch_size=128)
    model = run(images, Recipe((step,))).model
    widths = [len(model.get_submodule(name).weight) for name in ("conv1", "conv2", "hidden")]
    assert sum(widths) == 24
    assert widths == pytest.approx([4, 8, 12], abs=2)


def test_it_trains_between_rounds_and_keeps_masks(images):
    start = run(images, Recipe((Prune(layers="conv2", amount=0.5),)))
    step = PruneChannelsIteratively(layers="hidden", budget="channels", rounds=2, epochs=2, batch_size=128)
    news = list(step.train(start, Context(images)))
    made = [entry for entry in news if isinstance(entry, State)]
    scores = [entry for entry in news if isinstance(entry, Tick) and entry.figures and entry.figures.score is not None]
    assert len(scores) == 4
    assert 1 <= len(made) <= 2
    assert all(len(state.model.get_submodule("hidden").weight) == 12 for state in made)
    weight = made[-1].model.get_submodule("conv2").weight
    assert int((weight == 0).sum()) >= weight.numel() // 2
    assert not (weight == images.model.conv2.weight).all()


def test_what_cannot_be_is_told(images):
    with pytest.raises(WorkbenchError, match=r"Prune channels iteratively: at most \d+\.\d% of the multiply"):
        run(images, Recipe((PruneChannelsIteratively(layers="hidden", budget="macs"),)))
    with pytest.raises(WorkbenchError, match=r"put prune_channels_iteratively before quantize"):
        run(images, Recipe((Quantize(), PruneChannelsIteratively())))
