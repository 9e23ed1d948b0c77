"""Steps with a teacher: what it says, and what labels say."""

import pytest
import torch

from tests.steps.train.test_training_checkpoint import stopped_after
from workbench.errors import Cancelled
from workbench.jobs.progress import Progress
from workbench.model.subject import Subject
from workbench.search.trials import TrialContext
from workbench.search.trials.cache import OutcomeCache
from workbench.search.trials.trial import Outcome
from workbench.steps import Context, Distill, Prune, PruneGradually, Quantize, TrainQuantized
from workbench.steps.recipe import Recipe, run
from workbench.task.task import Task

BEFORE = {TrainQuantized: (Quantize(bits=3),), PruneGradually: ()}


def with_wrong_labels(subject):
    def wrong(name):
        data = subject.task.split(name)
        inputs, targets = data.batch(range(len(data)))
        return inputs[0], targets.roll(1) if name == "train" else targets

    task = Task(train=wrong("train"), validation=wrong("validation"))
    return Subject(subject.name, subject.model, task)


@pytest.mark.parametrize("kind", BEFORE, ids=lambda kind: kind.kind)
def test_a_teacher_alone_makes_labels_useless_and_without_one_they_decide(images, kind):
    other = with_wrong_labels(images)
    found = {}
    for soft in (0.0, 1.0):
        recipe = Recipe((*BEFORE[kind], kind(epochs=1, soft=soft, learning_rate=0.001)))
        found[soft] = [run(subject, recipe).model.state_dict() for subject in (images, other)]
    same = {soft: all(torch.equal(one[key], two[key]) for key in one) for soft, (one, two) in found.items()}
    assert same == {0.0: False, 1.0: True}


def test_another_teacher_at_the_same_path_is_another_training_and_another_trial(images, tmp_path, open_session):
    folder, step = tmp_path / "teacher", Distill(teacher=str(tmp_path / "teacher"), epochs=2)
    session = open_session(images, autosave=None)
    session.export(folder, ("safetensors",))
    first = step.outside()
    with pytest.raises(Cancelled):
        run(images, Recipe((step,)), stopped_after(1), folder=tmp_path / "kept")
    context = TrialContext(session.state, Context(images), session.reference(), session._evaluator("validation"))
    cache = OutcomeCache(tmp_path / "scans", context)
    cache.write((step,), Outcome(None, reason="it was refused"))
    assert cache.read((step,)) is not None
    session.apply(Prune(amount=0.5))
    session.export(folder, ("safetensors",))
    assert step.outside() != first != ""
    assert cache.read((step,)) is None
    seen = []
    run(images, Recipe((step,)), Progress(seen.append), folder=tmp_path / "kept")
    assert not any("going on" in tick.message for tick in seen)
    assert Distill(teacher=str(tmp_path / "nothing")).outside() == Distill(teacher="\0").outside() == ""
