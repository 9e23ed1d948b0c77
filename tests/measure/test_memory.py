"""Peak memory of nets small enough to follow with a pencil."""

import torch
from torch import Tensor, nn

from workbench.measure.memory import measure_peak


class Chain(nn.Module):
    """Two products, the first much wider: [n, 100] to [n, 1000] to [n, 10]."""

    def __init__(self) -> None:
        super().__init__()
        self.wide, self.narrow = nn.Linear(100, 1000, bias=False), nn.Linear(1000, 10, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.wide(x)
        return self.narrow(x)


class Kept(Chain):
    """Keeps an activation that the other drops."""

    def forward(self, x: Tensor) -> Tensor:
        wide = self.wide(x)
        again = wide * 2
        narrow = self.narrow(again)
        return narrow + wide.sum()


WEIGHTS = 4 * (100 * 1000 + 1000 * 10)


def test_weights_inputs_and_living_activations_add_up():
    for batch in (1, 7):
        inputs = (torch.zeros(batch, 100),)
        assert measure_peak(Chain(), inputs) == WEIGHTS + 4 * batch * (100 + 1000 + 10)


def test_what_is_kept_counts_for_as_long_as_it_is():
    found = measure_peak(Kept(), (torch.zeros(5, 100),))
    # wide, again, narrow, the sum (one number) and the result live at once.
    assert found == WEIGHTS + 4 * (5 * (100 + 1000 + 1000 + 10 + 10) + 1)


def test_tied_weights_count_once():
    model = Chain()
    twin = nn.Linear(100, 1000, bias=False)
    twin.weight = model.wide.weight
    model.twin = twin
    assert measure_peak(model, (torch.zeros(1, 100),)) == measure_peak(Chain(), (torch.zeros(1, 100),))


def test_the_model_is_left_as_it_was():
    model = Chain().train()
    measure_peak(model, (torch.zeros(1, 100),))
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())
