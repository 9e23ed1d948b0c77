"""Tracing leaves the model alone, and the topology is that of the graph."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tests.nets import MobileNet, PaddedResNet, PlainConv, build
from workbench.errors import WorkbenchError
from workbench.graph import coupled_groups, cut, topology, trace


@pytest.mark.parametrize("batch", [1, 4])
def test_the_batch_is_dynamic(batch: int) -> None:
    model, (image,) = build("padded")
    traced = trace(model, (image[:batch],)).module()
    many = torch.cat([image, image, image])
    torch.testing.assert_close(traced(many), model(many))


class FixedBatch(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x).reshape(1, 2)


def test_a_model_for_one_batch_size_is_traced_with_it() -> None:
    program = trace(FixedBatch(), (torch.zeros(1, 3),))
    assert program.module()(torch.zeros(1, 3)).shape == (1, 2)


class Counted(nn.Module):
    """Asks for the number of samples as most people do, in a way that is a plain number to everybody else."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x).reshape(len(x), 2, -1) + x.new_ones(len(x), 1, 2)


@pytest.mark.parametrize("batch", [1, 2])
def test_a_model_that_asks_for_the_length_of_a_batch_takes_any(batch: int) -> None:
    model, x = Counted().eval(), torch.randn(5, 3)
    torch.testing.assert_close(trace(model, (x[:batch],)).module()(x), model(x))


class DataDependent(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 2 if float(x.sum()) > 0 else x


def test_a_model_that_cannot_be_traced_says_so_and_stays_as_it_was(capfd: pytest.CaptureFixture[str]) -> None:
    model = nn.Sequential(nn.Linear(2, 2), DataDependent()).train()
    with pytest.raises(
        WorkbenchError,
        match=r"cannot be traced \(its code decides by values.+\); steps that change weights alone still",
    ):
        trace(model, (torch.zeros(2, 2),))
    assert capfd.readouterr() == ("", "")  # torch would print the half of the graph that it made
    assert all(module.training for module in model.modules())


class Storing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 2)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.last = self.linear(x)
        return self.last


def test_what_a_forward_pass_stores_does_not_stay_in_the_model() -> None:
    model = Storing()
    trace(model, (torch.zeros(2, 2),))
    assert not hasattr(model, "last")
    assert float(model.get_buffer("calls")) == 0
    assert len(coupled_groups(model, (torch.zeros(2, 2),))) == 1


def test_values_and_widths_do_not_change_the_topology() -> None:
    model, example = build("plain")
    other, _ = build("plain", seed=1)
    groups = coupled_groups(model, example)
    assert topology(trace(model, example)) == topology(trace(other, example))
    assert topology(trace(model, example)) == topology(trace(cut(model, groups, {"conv1": [0, 1]}), example))


def test_what_changes_the_graph_changes_the_topology() -> None:
    example = build("plain")[1]
    models = [PlainConv(), PaddedResNet(4, 1), PaddedResNet(4, 2), PaddedResNet(8, 1), MobileNet()]
    no_relu = PlainConv()
    no_relu.bn1 = nn.Identity()  # type: ignore[assignment]
    strided = PlainConv()
    strided.conv2.stride = (2, 2)
    hashes = {topology(trace(model.eval(), example)) for model in [*models, no_relu, strided]}
    assert len(hashes) == 7
