"""Training that was cut short goes on where it was, and ends as if it had never stopped."""

import io
import os
import zipfile

import pytest
import torch

from tests.sampling import sampled
from workbench.errors import Cancelled
from workbench.jobs.progress import Progress
from workbench.steps import Distill, FineTune, Prune, PruneGradually, Quantize, TrainQuantized
from workbench.steps.recipe import Recipe, run

COMMON = {"epochs": 3, "learning_rate": 0.004, "patience": 3}
RECIPES = [
    (Prune(amount=0.6), FineTune(**COMMON, schedule="one-cycle")),
    (Prune(amount=0.6), Distill(**COMMON, optimizer="sgd", schedule="step", augmentation="shift")),
    (Quantize(bits=3), TrainQuantized(**COMMON, schedule="constant", soft=0.5)),
    (PruneGradually(**COMMON, amount=0.7, ramp=1.0, regrow=0.3),),
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


def divided(facts):
    """An optimizer that divides by its count of steps."""
    for kept in facts["now"]["optimizer"]["state"].values():
        kept["step"].fill_(-1.0)


def over(facts):
    """A schedule that is over already."""
    facts["now"]["schedule"]["last_epoch"] = 10**6


def no_number(facts):
    next(iter(facts["now"]["model"].values()))[0] = float("nan")


def later(facts):
    facts["epochs"] = 7


def unlike(facts):
    facts["now"]["masks"] = {"fc.weight": torch.ones(1)}


def regrown(facts):
    """Masks that let pruned weights come back."""
    for mask in facts["now"]["masks"].values():
        mask.fill_(True)


def unpicked(facts):
    facts["pick"] = ["a", None, {}]


CHANGES = (divided, over, no_number, later, unlike, regrown, unpicked)


@pytest.mark.parametrize("change", sampled(CHANGES, 4), ids=lambda change: change.__name__)
def test_a_changed_file_is_ignored_with_a_note(images, tmp_path, caplog, change):
    recipe = Recipe((Prune(amount=0.6), FineTune(**COMMON, schedule="one-cycle")))
    whole = run(images, recipe)
    with pytest.raises(Cancelled):
        run(images, recipe, stopped_after(1), folder=tmp_path)
    (kept,) = tmp_path.iterdir()
    facts = torch.load(kept, weights_only=True)
    change(facts)
    torch.save(facts, kept)
    again = run(images, recipe, folder=tmp_path)
    assert "is of no use, and it begins anew" in caplog.text
    for name, value in whole.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[name], value)


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
@pytest.mark.parametrize("kind", ["code", "pipe", "folder", "packed", "text"])
def test_foreign_files_run_nothing_and_hang_nothing(images, tmp_path, caplog, kind):
    recipe = Recipe((FineTune(**COMMON),))
    with pytest.raises(Cancelled):
        run(images, recipe, stopped_after(1), folder=tmp_path)
    (kept,) = tmp_path.iterdir()
    whole = kept.read_bytes()
    kept.unlink()
    if kind == "code":
        torch.save({"epochs": Evil(tmp_path / "ran"), "now": {}, "best": None, "pick": []}, kept)
    elif kind == "pipe":
        os.mkfifo(kept)
    elif kind == "folder":
        kept.mkdir()
    elif kind == "text":
        kept.write_text("not a training")
    else:
        with zipfile.ZipFile(io.BytesIO(whole)) as source, zipfile.ZipFile(kept, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in source.namelist():
                archive.writestr(name, source.read(name))
    run(images, recipe, folder=tmp_path)
    assert "is of no use, and it begins anew" in caplog.text
    assert not (tmp_path / "ran").exists()
