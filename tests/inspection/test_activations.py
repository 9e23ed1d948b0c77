import pytest
import torch
from torch import nn

from workbench.errors import WorkbenchError
from workbench.inspection import observe_activations
from workbench.task.task import Task


@pytest.fixture
def task():
    inputs = torch.randn(100, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    data = (inputs, torch.zeros(100).long())
    return Task(train=data, validation=data, test=data)


@pytest.fixture
def model():
    made = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2), nn.Identity())
    with torch.no_grad():
        made[0].weight[1].zero_()
        made[0].bias.copy_(torch.tensor([0.0, -1.0, 0.0, 0.0]))
    return made.train()


def test_facts_are_those_of_the_outputs(model, task):
    found = observe_activations(model, task, ["0", "3"], split="validation", batches=2)
    with torch.no_grad():
        wanted = model[0](task.split("validation").batch(range(100))[0][0])
    conv = found["0"]
    assert conv.samples == 100
    assert conv.split == "validation"
    assert conv.low == pytest.approx(float(wanted.min()))
    assert conv.high == pytest.approx(float(wanted.max()))
    assert conv.mean == pytest.approx(float(wanted.mean()), abs=1e-5)
    assert conv.std == pytest.approx(float(wanted.std(correction=0)), abs=1e-4)
    assert conv.channel_high == pytest.approx(tuple(wanted.amax((0, 2, 3)).tolist()))
    assert sum(conv.histogram.counts) == wanted.numel()
    assert len(found["3"].channel_low) == 2


def test_dead_units_are_found(model, task):
    found = observe_activations(model, task, ["0", "1"])
    assert found["0"].never_positive == 0.25
    assert found["0"].constant == 0.25
    assert found["1"].channel_high[1] == 0.0


def test_the_model_is_left_as_it_was(model, task):
    observe_activations(model, task, ["0"])
    assert model.training
    assert not model[0]._forward_hooks


def test_the_model_is_left_as_it_was_when_the_forward_fails(model, task):
    model[3] = nn.Linear(5, 2)
    with pytest.raises(RuntimeError):
        observe_activations(model, task, ["0"])
    assert model.training
    assert not model[0]._forward_hooks


class Half(nn.Module):
    def __init__(self):
        super().__init__()
        self.used, self.unused = nn.Conv2d(3, 2, 3), nn.Linear(2, 2)

    def forward(self, x):
        return self.used(x)


def test_a_layer_that_is_not_reached_is_left_out(task):
    assert set(observe_activations(Half(), task, ["used", "unused"])) == {"used"}


def test_an_unknown_layer_is_named(model, task):
    with pytest.raises(WorkbenchError, match="no layer nowhere"):
        observe_activations(model, task, ["nowhere"])


def test_the_test_split_steers_nothing(model, task):
    with pytest.raises(WorkbenchError, match="test split"):
        observe_activations(model, task, ["0"], split="test")


def test_infinite_outputs_are_told(model, task):
    with torch.no_grad():
        model[0].bias[0] = float("inf")
    with pytest.raises(WorkbenchError, match="0 gives NaN or infinite"):
        observe_activations(model, task, ["0"])
