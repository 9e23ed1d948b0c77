"""A new head: Fisher's discriminant, as many classes as there are, and what cannot have one."""

import pytest
import torch
from torch import nn

from workbench.errors import WorkbenchError
from workbench.model.subject import Subject
from workbench.steps import FineTune, Quantize, ReplaceHead
from workbench.steps.recipe import Recipe, run
from workbench.steps.train.replace_head import discriminant
from workbench.steps.train.training import judge
from workbench.task.task import Task


def test_the_discriminant_is_that_of_scikit_learn():
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    drawn = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 3, (400,), generator=drawn)
    features = torch.randn(400, 4, generator=drawn) + torch.randn(3, 4, generator=drawn)[labels]
    weight, bias = discriminant(features, labels, 3)
    theirs = LinearDiscriminantAnalysis(solver="lsqr").fit(features, labels)
    same = (features.double() @ weight.T + bias).argmax(1) == torch.from_numpy(theirs.predict(features))
    assert float(same.double().mean()) > 0.99
    empty = discriminant(features, labels, 5)
    assert bool(empty[0].isfinite().all() and empty[1].isfinite().all())


@pytest.fixture(scope="module")
def other(images):
    """The same pictures, with two classes that are others' unions."""
    splits = {}
    for split in ("train", "validation"):
        (inputs,), labels = images.task.split(split).batch(range(600))
        splits[split] = (inputs, labels // 2)
    return Subject("other", images.model, Task(**splits))


def test_a_net_is_carried_over_to_other_classes(other):
    state = run(other, Recipe((ReplaceHead(),)))
    assert state.model.fc.out_features == 2
    assert judge(state.model, other.task) > 0.85
    assert torch.equal(state.model.conv1.weight, other.model.conv1.weight)
    assert state.notes == ("fc: a new layer of 2 outputs",)
    random = run(other, Recipe((ReplaceHead(start="random", classes=2),)))
    assert judge(random.model, other.task) < judge(state.model, other.task)
    taught = run(other, Recipe((ReplaceHead(start="random", classes=2), FineTune(epochs=1, layers="fc"))))
    assert torch.equal(taught.model.conv1.weight, other.model.conv1.weight)
    assert judge(taught.model, other.task) > judge(random.model, other.task)


def test_random_heads_differ_by_the_seed(other):
    recipe = (ReplaceHead(start="random", classes=3),)
    weights = [run(other, Recipe(recipe, seed)).model.fc.weight for seed in (0, 0, 1)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_what_has_no_such_head_is_refused(images, regression):
    with pytest.raises(WorkbenchError, match="labels name class 3, beyond 2 classes"):
        run(images, Recipe((ReplaceHead(classes=2),)))
    with pytest.raises(WorkbenchError, match="hidden gives 24 numbers, and the model"):
        run(images, Recipe((ReplaceHead(layers="hidden"),)))
    with pytest.raises(WorkbenchError, match="labels must be one class number"):
        run(regression, Recipe((ReplaceHead(),)))
    with pytest.raises(WorkbenchError, match="activations are on grids"):
        run(images, Recipe((Quantize(activations=8), ReplaceHead())))


def test_a_model_that_is_one_layer_is_all_new():
    torch.manual_seed(0)
    data = (torch.randn(60, 5), torch.arange(60) % 3)
    subject = Subject("one", nn.Linear(5, 7), Task(train=data, validation=data))
    assert run(subject, Recipe((ReplaceHead(),))).model.out_features == 3
