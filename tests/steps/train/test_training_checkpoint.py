"""Training that was cut short goes on where it was, and ends as if it had never stopped."""

import pytest
import torch

from workbench.errors import Cancelled
from workbench.jobs.progress import Progress
from workbench.steps import Distill, FineTune, Prune, PruneGradually, Quantize, TrainQuantized
from workbench.steps.recipe import Recipe, run

COMMON = {"epochs": 3, "learning_rate": 0.004, "patience": 3}
RECIPES = [
    (Prune(amount=0.6), FineTune(**COMMON, schedule="one-cycle")),
    (Prune(amount=0.6), Distill(**COMMON, optimizer="sgd", schedule="step", augmentation="shift")),
    (Quantize(bits=3), TrainQuantized(**COMMON, schedule="constant", soft=0.5)),
    (PruneGradually(**COMMON, amount=0.7, ramp=0.6),),
]


def stopped_after(epochs):
    scores = []

    def look(tick):
        scores.extend([1] * bool(tick.figures and tick.figures.score is not None))

    return Progress(look, lambda: len(scores) >= epochs)


@pytest.mark.parametrize("steps", RECIPES, ids=lambda steps: steps[-1].kind)
def test_it_goes_on_and_ends_the_same(images, steps, tmp_path):
    recipe, seen = Recipe(steps), []
    whole = run(images, recipe)
    for _ in range(2):
        with pytest.raises(Cancelled):
            run(images, recipe, stopped_after(1), folder=tmp_path)
        (kept,) = tmp_path.iterdir()
    again = run(images, recipe, Progress(seen.append), folder=tmp_path)
    assert any("going on after epoch 2 of 3" in tick.message for tick in seen)
    assert sum(bool(tick.figures and tick.figures.score is not None) for tick in seen) == 1
    assert not kept.exists()
    assert {name: c.facts() for name, c in again.codings.items()} == {n: c.facts() for n, c in whole.codings.items()}
    for name, value in whole.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[name], value)


def test_a_damaged_file_and_another_step_begin_anew(images, tmp_path):
    recipe = Recipe((FineTune(**COMMON),))
    with pytest.raises(Cancelled):
        run(images, recipe, stopped_after(1), folder=tmp_path)
    (kept,) = tmp_path.iterdir()
    kept.write_bytes(kept.read_bytes()[:100])
    for other in (recipe, Recipe((FineTune(**COMMON, weight_decay=0.0),))):
        seen = []
        run(images, other, Progress(seen.append), folder=tmp_path)
        assert sum(bool(tick.figures and tick.figures.score is not None) for tick in seen) == 3
