"""Inputs of layers in turn: what a pass over the whole model would give, from far fewer computed modules."""

from collections import Counter

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import workbench as wb
from workbench.errors import Cancelled, WorkbenchError
from workbench.jobs.progress import Progress
from workbench.model.twin import twin
from workbench.steps import in_turn
from workbench.steps.calibration import input_moments
from workbench.steps.in_turn import InTurn


class Residual(nn.Module):
    """Writes into what it makes, and what a block gave is read twice."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(6, 6), nn.Linear(6, 6)

    def forward(self, x):
        y = self.b(F.relu_(self.a(x)))
        y += x
        return y


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.late = nn.Linear(6, 3)  # named first, called last
        self.blocks = nn.Sequential(*(Residual() for _ in range(3)))
        self.act = nn.ReLU(inplace=True)
        self.twice = nn.Linear(6, 6)

    def forward(self, x):
        y = self.blocks(x)
        z = self.act(self.twice(y))
        return self.late(self.twice(z) + y)


class Tied(Net):
    """The last layer of the first block and the first of the last are one weight."""

    def __init__(self):
        super().__init__()
        self.blocks[0].b.weight = self.blocks[2].a.weight


class Embedded(nn.Module):
    """A table that changes without being asked for what enters it, after a layer behind it did."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(6, 6), nn.Linear(6, 6)
        self.front = Scaled()
        self.c = nn.Linear(6, 3)

    def forward(self, x):
        return self.c(self.b(self.a(self.front(x))))


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(6))

    def forward(self, x):
        return x * self.weight


class Writing(Net):
    """What enters is written into, so that this module must run though nothing in it changes."""

    def forward(self, x):
        y = self.blocks[0](x)
        self.act(y)
        return self.late(self.twice(self.blocks[1](y)))


@pytest.fixture(params=[Net, Tied, Writing, Embedded])
def subject(request):
    torch.manual_seed(0)
    data = torch.randn(200, 6), torch.randint(3, (200,))
    return wb.Subject("net", request.param().eval(), wb.Task(train=data, validation=data))


def layers_of(model):
    return [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]


def moved(model, name):
    return model.get_parameter(name).detach().mul(0.5)


def names_once(model):
    return [name for name, _ in model.named_parameters() if name.endswith("weight")]  # a tied weight has one name


def test_inputs_are_those_of_a_whole_pass(subject):
    inputs, changed = InTurn(subject.model, subject.task, names_once(subject.model)), {}
    for name in names_once(subject.model):
        layer = name.removesuffix(".weight")
        if layer == "front":
            changed[name] = moved(subject.model, name)
            inputs.done(name)
            continue
        found = inputs.moments(layer, changed, Progress())
        wanted = dict(input_moments(twin(subject.model, changed), subject.task, [layer])).get(layer)
        assert (found is None) == (wanted is None), layer
        if wanted is not None:
            assert torch.equal(found.second, wanted.second), layer
            assert torch.equal(found.mean, wanted.mean)
            assert found.count == wanted.count
        changed[name] = moved(subject.model, name)
        inputs.done(name)


def passes(subject):
    """Return how often each layer is computed on all batches while every layer is asked for."""
    counts, plain = Counter(), nn.Linear.forward

    def counted(self, x):
        counts[id(self.weight)] += 1
        return plain(self, x)

    inputs = InTurn(subject.model, subject.task, names_once(subject.model))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nn.Linear, "forward", counted)
        for name in names_once(subject.model):
            inputs.moments(name.removesuffix(".weight"), {}, Progress())
            inputs.done(name)
    return sum(counts.values())


def deep(blocks):
    torch.manual_seed(0)
    data = torch.randn(64, 6), torch.randint(6, (64,))
    model = nn.Sequential(*(Residual() for _ in range(blocks))).eval()
    return wb.Subject("deep", model, wb.Task(train=data, validation=data))


def test_work_grows_with_the_blocks_and_not_with_their_square(monkeypatch):
    assert passes(deep(16)) <= 2.2 * passes(deep(8))
    monkeypatch.setattr(in_turn, "KEPT_BYTES", 0)
    assert passes(deep(16)) > 3.5 * passes(deep(8)), "where nothing may be kept, all is computed again"


def test_what_may_not_be_kept_changes_nothing(subject, monkeypatch):
    monkeypatch.setattr(in_turn, "KEPT_BYTES", 6_000)  # one output or so
    test_inputs_are_those_of_a_whole_pass(subject)


def test_a_pass_can_be_cancelled_and_asked_for_again(subject):
    inputs = InTurn(subject.model, subject.task, names_once(subject.model))
    last = layers_of(subject.model)[-1]
    with pytest.raises(Cancelled):
        inputs.moments(last, {}, Progress(None, lambda: True))
    wanted = dict(input_moments(subject.model, subject.task, [last]))[last]
    assert torch.equal(inputs.moments(last, {}, Progress()).second, wanted.second)


def test_inputs_that_are_not_finite_are_told():
    subject = deep(2)
    inputs = InTurn(subject.model, subject.task, names_once(subject.model))
    changed = {"0.a.weight": torch.full((6, 6), torch.inf)}
    with pytest.raises(WorkbenchError, match=r"0\.b gets NaN"):
        inputs.moments("0.b", changed, Progress())
