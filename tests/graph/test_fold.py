"""Folding batch norms, and what follows a layer."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from tests.nets import NETS, build
from tests.sampling import sampled
from workbench.graph import fold_batchnorm, followers

FOLDED = {
    "plain": 2,
    "padded": 7,
    "projected": 8,
    "mobile": 8,
    "unet": 5,
    "grouped": 1,
    "squeeze": 1,
    "flattened": 2,
    "mlp": 1,
    "two_outputs": 1,
}


def norms(model: nn.Module) -> int:
    return sum(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules())


@pytest.mark.parametrize("name", sampled(NETS, 8))
def test_folding_keeps_the_outputs(name: str) -> None:
    model, example = build(name)
    state = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    folded = fold_batchnorm(model, example)
    assert norms(model) - norms(folded) == FOLDED.get(name, 0)
    assert all(torch.equal(tensor, state[key]) for key, tensor in model.state_dict().items())
    wide = tuple(x.double() if x.is_floating_point() else x for x in example)
    expected, found = model.double()(*wide), folded.double()(*wide)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


class Transposed(nn.Module):
    def __init__(self, groups: int) -> None:
        super().__init__()
        self.up, self.norm = (
            nn.ConvTranspose2d(4, 6, 2, stride=2, groups=groups),
            nn.BatchNorm2d(6, affine=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.up(x))


@pytest.mark.parametrize(("groups", "left"), [(1, 0), (2, 1)])
def test_transposed_convolutions_fold_unless_they_are_grouped(groups: int, left: int) -> None:
    model, example = Transposed(groups).eval(), (torch.randn(2, 4, 4, 4),)
    model.norm.running_mean = torch.randn(6)
    folded = fold_batchnorm(model, example)
    assert norms(folded) == left
    torch.testing.assert_close(folded(*example), model(*example))


class Watched(nn.Module):
    """The output of the convolution is used beside its norm, so the norm must stay."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return torch.relu(self.norm(x)) + x


def test_a_norm_that_is_not_alone_stays() -> None:
    model = Watched()
    assert norms(fold_batchnorm(model, (torch.randn(2, 3, 4, 4),))) == 1
    assert followers(model, (torch.randn(2, 3, 4, 4),)) == {"conv": ""}


def test_followers_keep_apart_what_is_added_and_what_a_norm_still_moves() -> None:
    model, example = build("padded")
    assert followers(model, example)["conv1"] == ""
    found = followers(fold_batchnorm(model, example), example)
    assert found["conv1"] == "relu"
    assert found["layer1.0.conv1"] == "relu"
    assert found["layer1.0.conv2"] == ""
    assert found["linear"] == ""
    assert followers(*build("text"))["encoder.linear1"] == "relu"


def test_a_folded_model_is_a_copy() -> None:
    model, example = build("plain")
    before = copy.deepcopy(model)
    folded = fold_batchnorm(model, example)
    assert torch.equal(model(*example), before(*example))
    assert all(torch.equal(value, before.state_dict()[name]) for name, value in model.state_dict().items())
    assert not {id(module) for module in model.modules()} & {id(module) for module in folded.modules()}
