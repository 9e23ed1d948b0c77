"""Smoothing: the same outputs, and less lost on grids where some channels are much larger than others."""

import pytest
import torch
from torch import nn

from workbench.model.subject import Subject
from workbench.steps import Quantize, Smooth
from workbench.steps.recipe import Recipe, run
from workbench.steps.repair.smooth import Inputs, balance, rounding_error, searched
from workbench.task.task import Task


class Outliers(nn.Module):
    """A layer norm that gives two channels fifty times the range of the others, read twice or beside the layers."""

    def __init__(self, beside: bool = False) -> None:
        super().__init__()
        self.norm, self.one, self.two, self.last = (
            nn.LayerNorm(16), nn.Linear(16, 16), nn.Linear(16, 16), nn.Linear(16, 5),
        )  # fmt: skip
        self.beside = beside
        with torch.no_grad():
            self.norm.weight[:2] *= 50
            for layer in (self.one, self.two):
                layer.weight[:, :2] /= 50

    def forward(self, x):
        y = self.norm(x)
        z = self.one(y) * torch.sigmoid(self.two(y)) + (y if self.beside else 0)
        return self.last(z)


def subject(beside=False):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Outliers(beside)
        x = torch.randn(256, 16)
    with torch.no_grad():
        y = model(x).argmax(1)
    return Subject("outliers", model, Task(train=(x, y), validation=(x, y)))


def outputs(given, state):
    with torch.no_grad():
        return state.model(*given.task.split("validation").batch(range(256))[0])


@pytest.mark.parametrize("method", ["activations", "weights"])
def test_outputs_stay(method):
    given = subject()
    plain, smooth = (run(given, Recipe(steps)) for steps in ((), (Smooth(method=method),)))
    torch.testing.assert_close(outputs(given, smooth), outputs(given, plain), rtol=1e-3, atol=1e-3)
    assert not torch.equal(smooth.model.norm.weight, plain.model.norm.weight)


def test_activations_with_outliers_lose_less():
    given, quantize = subject(), Quantize(bits=8, activations=4)
    exact = outputs(given, run(given, Recipe(())))
    gaps = [
        float((outputs(given, run(given, Recipe(steps))) - exact).square().mean())
        for steps in ((quantize,), (Smooth(), quantize))
    ]
    assert gaps[1] < 0.3 * gaps[0]


def test_weights_of_large_inputs_are_rounded_with_less_loss():
    generator = torch.Generator().manual_seed(0)
    weight, scale = torch.randn(8, 12, generator=generator), torch.ones(12)
    scale[0] = 20.0
    rows = torch.randn(500, 12, generator=generator) * scale
    inputs = Inputs(torch.zeros(12), torch.zeros(12, 12, dtype=torch.float64))
    for part in rows.split(200):
        inputs.add(part)
    torch.testing.assert_close(inputs.second, rows.double().T @ rows.double())
    torch.testing.assert_close(inputs.largest, rows.abs().amax(0))
    found = searched(inputs, [weight], 3)
    before, after = (rounding_error(weight, s, inputs.second, 3) for s in (torch.ones(12), found))
    assert after < 0.8 * before
    assert found[0] == found.max()


def test_half_and_half_gives_inputs_and_weights_one_range():
    x, w = torch.tensor([8.0, 2.0, 0.0]), torch.tensor([2.0, 2.0, 1.0])
    factors = balance(x, w, 0.5)
    torch.testing.assert_close((x / factors)[:2], (w * factors)[:2])
    assert factors[2] == 1


def test_a_norm_that_others_read_too_is_left_alone():
    given = subject(beside=True)
    state = run(given, Recipe((Smooth(),)))
    assert "no layer norm is read by the chosen linear layers alone" in state.notes[-1]
