"""Steps with a teacher: what it says, and what labels say."""

import pytest
import torch

from workbench.model.subject import Subject
from workbench.steps import PruneGradually, Quantize, TrainQuantized
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
