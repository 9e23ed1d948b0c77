"""Rounding rules: on the grid, never moving a pruned weight, and better where it counts: at the outputs."""

import itertools

import pytest
import torch
from torch import nn

from workbench.checkpoint.coding import Codebook, PowersOfTwo, fitted, grid
from workbench.errors import WorkbenchError
from workbench.jobs.progress import Progress
from workbench.steps.calibration import damped, input_moments
from workbench.steps.quantize.rounding import GENERAL, ROUNDINGS
from workbench.steps.quantize.rounding.descent import descended
from workbench.steps.quantize.rounding.layerwise import Grid
from workbench.steps.quantize.rounding.learned import learned, neighbours
from workbench.steps.quantize.rounding.second_order import compensated, ordered
from workbench.steps.quantize.share_weights import centroids
from workbench.task.task import Task


def matrix(outputs, inputs, seed=0, linked=1.0):
    """Return weights, and second moments of inputs that go together."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(outputs, inputs, generator=generator, dtype=torch.float64)
    mixed = torch.randn(inputs, inputs, generator=generator, dtype=torch.float64) * linked + torch.eye(inputs)
    rows = torch.randn(400, inputs, generator=generator, dtype=torch.float64) @ mixed
    return weight, rows.T @ rows / len(rows)


def error(change, second):
    return (change @ second * change).sum(1)


def gridded(weight, bits=3):
    return Grid(grid(weight.float(), bits, 0, symmetric=True), weight.shape)


def everything(weight):
    return torch.ones_like(weight, dtype=torch.bool)


def test_inputs_that_have_nothing_in_common_are_rounded_to_the_nearest():
    weight, _ = matrix(4, 9)
    second, lines = torch.diag(torch.rand(9, dtype=torch.float64) + 0.5), gridded(weight)
    for rule in (lambda weight, second, *rest: compensated(weight, ordered(second), *rest), learned):
        assert torch.equal(rule(weight, second, lines, everything(weight)), lines.round(weight))


def test_descent_finds_what_trying_everything_finds():
    weight, second = matrix(1, 5, seed=3)
    lines = gridded(weight, bits=2)
    values = lines.coding.values(torch.arange(3).view(1, 3)).flatten().double().tolist()
    tried = torch.tensor(list(itertools.product(values, repeat=5)), dtype=torch.float64)
    best = float(error(tried - weight, second).min())
    found = [
        descended(weight, start, second, lines, everything(weight))
        for start in (lines.round(weight), *tried[::27, None])
    ]
    assert min(float(error(one - weight, second)) for one in found) == pytest.approx(best)
    for one in found:  # no single weight can be moved to a better value
        for j, value in itertools.product(range(5), values):
            other = one.clone()
            other[0, j] = value
            assert float(error(other - weight, second)) >= float(error(one - weight, second)) - 1e-12


@pytest.mark.parametrize("seed", range(3))
def test_the_outputs_change_less_rule_by_rule(seed):
    weight, second = matrix(16, 24, seed)
    second, lines, keep = damped(second[None])[0], gridded(weight), everything(weight)
    nearest = error(lines.round(weight) - weight, second).sum()
    second_order = compensated(weight, ordered(second), lines, keep)
    descent = descended(weight, second_order, second, lines, keep)
    taught = learned(weight, second, lines, keep)
    assert error(second_order - weight, second).sum() < 0.6 * nearest
    assert bool((error(descent - weight, second) <= error(second_order - weight, second) + 1e-9).all())
    assert error(taught - weight, second).sum() < 0.85 * nearest  # it goes no further than to a neighbour


def test_second_order_rounding_is_the_closed_form_on_two_inputs():
    # The first input is rounded; the second makes up for it as least squares says, and is rounded then.
    weight = torch.tensor([[0.4, 0.3]], dtype=torch.float64)
    second = torch.tensor([[2.0, 1.2], [1.2, 1.0]], dtype=torch.float64)
    wide = damped(second[None])[0]
    lines = Grid(grid(torch.tensor([[7.0, 0.0]]), 4, 0, symmetric=True), weight.shape)
    wanted = 0.3 + 0.4 * float(wide[0, 1] / wide[1, 1])
    assert compensated(weight, ordered(second), lines, everything(weight)).tolist() == [[0.0, round(wanted)]]
    assert round(wanted) == 1


def test_neighbours_enclose_what_lies_on_the_grid():
    weight, _ = matrix(5, 7)
    lines = Grid(grid(weight.float() * 0.6, 3, 0, symmetric=False), weight.shape)
    low, high = neighbours(weight, lines)
    inside = (weight > lines.round(torch.full_like(weight, -99))) & (weight < lines.round(torch.full_like(weight, 99)))
    assert bool(((low <= weight + 1e-6) & (weight <= high + 1e-6))[inside].all())
    steps = (high - low) / lines.coding.scale.double()[:, None]
    torch.testing.assert_close(steps, torch.ones_like(steps), rtol=0, atol=1e-5)


class Mixed(nn.Module):
    """A grouped and a transposed convolution, and linear layers that share one weight."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 8, 3, padding=1)
        self.grouped = nn.Conv2d(8, 8, 3, groups=2)
        self.up = nn.ConvTranspose2d(8, 6, 2)
        self.one = nn.Linear(6, 6)
        self.two = nn.Linear(6, 6)
        self.two.weight = self.one.weight
        self.unused = nn.Linear(3, 2)

    def forward(self, x):
        return self.two(self.one(self.up(self.grouped(self.conv(x).relu())).relu().mean((2, 3))))


FITS = {
    "integers": lambda w: grid(w, 3, 0, symmetric=True),
    "groups": lambda w: grid(w, 3, 0, symmetric=False, group=3),
    "powers": lambda w: fitted(PowersOfTwo, w, 4, None, "mse"),
    "codebook": lambda w: Codebook(3, centroids(w, 8)),
}


@pytest.mark.parametrize("kind", ROUNDINGS)
@pytest.mark.parametrize("fit", FITS)
def test_every_rule_stays_on_the_grid_and_keeps_zeros(kind, fit):
    if kind not in GENERAL and fit not in ("integers", "groups"):
        pytest.skip("it goes up or down on integers")
    torch.manual_seed(0)
    model = Mixed()
    with torch.no_grad():
        model.conv.weight *= torch.rand_like(model.conv.weight) > 0.5
    inputs = torch.randn(40, 2, 6, 6)
    task = Task(validation=(inputs, torch.zeros(40, dtype=torch.long)), calibration=(inputs, torch.zeros(40).long()))
    names = ["conv.weight", "grouped.weight", "up.weight", "one.weight", "unused.weight"]
    codings = {name: FITS[fit](model.get_parameter(name).detach()) for name in names}
    masks = {"conv.weight": model.conv.weight.detach() != 0}
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = ROUNDINGS[kind].weights(model, codings, masks, task, Progress())
    assert list(found) == names
    for name, value in found.items():
        assert value.shape == model.get_parameter(name).shape
        assert codings[name].holds(value)
    assert not found["conv.weight"][~masks["conv.weight"]].any()
    assert torch.equal(found["unused.weight"], codings["unused.weight"].round(model.unused.weight.detach()))
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    if kind != "nearest":
        ((_, seen),) = input_moments(model, task, ["conv"])
        rows = [(value - before["conv.weight"]).double().flatten(1) for value in (
            found["conv.weight"], codings["conv.weight"].round(before["conv.weight"]))]  # fmt: skip
        ours, nearest = (float(error(change, seen.second[0]).sum()) for change in rows)
        assert ours <= nearest * 1.01


def test_rules_that_look_at_data_say_that_they_need_it():
    model = nn.Linear(3, 2)
    task = Task(validation=(torch.randn(4, 3), torch.zeros(4, dtype=torch.long)))
    codings = {"weight": grid(model.weight.detach(), 4, 0, symmetric=True)}
    for rule in ROUNDINGS.values():
        if rule.needs_data:
            with pytest.raises(WorkbenchError, match="needs train or calibration data"):
                rule.weights(model, codings, {}, task, Progress())
