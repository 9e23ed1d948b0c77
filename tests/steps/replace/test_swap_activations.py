"""Cheap activations in the place of smooth ones: which, behind which layers, and how far from them."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import workbench as wb
from workbench.errors import WorkbenchError
from workbench.steps.recipe import Recipe, run


class Net(nn.Module):
    """Smooth activations as modules, as functions and in place; a sigmoid makes the output."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.gate, self.head = (nn.Linear(6, 6) for _ in range(4))
        self.norm, self.act = nn.BatchNorm1d(6), nn.SiLU(inplace=True)

    def forward(self, x):
        x = self.act(self.norm(self.one(x)))
        x = F.gelu(self.two(x)) * torch.sigmoid(self.gate(x))
        return torch.sigmoid(self.head(torch.tanh(x)))


def subject():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model, data = Net().eval(), (torch.randn(16, 6), torch.rand(16, 6))
    return wb.Subject("net", model, wb.Task(train=data, validation=data, metric="mse", loss="mse"))


def given(state, x):
    with torch.no_grad():
        return state.model(x)


def test_each_becomes_its_cheap_form_and_what_makes_the_output_stays():
    net, x = subject(), torch.randn(5, 6, generator=torch.Generator().manual_seed(1))
    state = run(net, Recipe((wb.SwapActivations(),)))
    layers = dict(net.model.named_children())
    with torch.no_grad():
        inner = F.hardswish(layers["norm"](layers["one"](x)))
        two = layers["two"](inner)
        inner = two * F.hardsigmoid(1.702 * two) * F.hardsigmoid(layers["gate"](inner))
        wanted = torch.sigmoid(layers["head"](F.hardtanh(inner)))
    torch.testing.assert_close(given(state, x), wanted)
    assert [note.partition(", behind ")[2] for note in state.notes] == ["one", "two", "gate", "two"]
    assert set(dict(state.model.named_parameters())) == set(dict(net.model.named_parameters()))


def test_only_what_follows_the_chosen_layers_is_swapped():
    state = run(subject(), Recipe((wb.SwapActivations(layers="one", into="relu"),)))
    assert state.notes == ("1 × silu became ReLU, behind one",)
    again = run(subject(), Recipe((wb.SwapActivations(exclude="one, two", into="hard"),)))
    assert [note.split()[2] for note in again.notes] == ["sigmoid"]


class InPlace(nn.Module):
    """A sigmoid written into a view, whose whole is read; SiLU in place; and an output that is reshaped."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.head = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 1)

    def forward(self, x):
        x = self.one(x)
        x[:, :3].sigmoid_()
        x = self.two(x)
        F.silu(x, inplace=True)
        return torch.sigmoid(self.head(x)).squeeze(-1)


def test_what_is_written_into_others_memory_stays_and_so_does_what_no_layer_reads():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model, data = InPlace().eval(), (torch.randn(16, 6), torch.rand(16))
    net = wb.Subject("net", model, wb.Task(train=data, validation=data, metric="mse", loss="mse"))
    state = run(net, Recipe((wb.SwapActivations(),)))
    assert state.notes == (
        "1 × silu became hardswish, behind two",
        "sigmoid behind one stays: it writes into memory that others read",
    )
    with torch.no_grad():
        x = model.one(data[0])
        x[:, :3].sigmoid_()
        wanted = torch.sigmoid(model.head(F.hardswish(model.two(x)))).squeeze(-1)
    torch.testing.assert_close(given(state, data[0]), wanted)


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ((wb.SwapActivations(layers="head"),), "no silu, sigmoid, tanh, gelu follows head"),
        ((wb.SwapActivations(into="relu"), wb.SwapActivations(into="relu")), "follows *"),
        ((wb.Quantize(activations=8), wb.SwapActivations()), "put swap_activations before"),
    ],
)
def test_what_cannot_be_swapped_is_said(steps, words):
    with pytest.raises(WorkbenchError, match=words.replace("*", r"\*")):
        run(subject(), Recipe(steps))


def test_it_is_trained_on_exported_and_opened_again(open_session, tmp_path):
    session = open_session(subject(), autosave=None)
    session.apply(wb.SwapActivations(into="relu"))
    session.apply(wb.FineTune(epochs=1, augmentation="none"))
    session.apply(wb.Quantize(activations=8))
    session.export(tmp_path / "out")
    opened = wb.load(str(tmp_path / "out"), validation=subject().task.split("validation"), metric="mse")
    x = torch.randn(4, 6)
    torch.testing.assert_close(given(opened, x), given(session.state, x), atol=1e-4, rtol=1e-4)
