import pytest
import torch
from torch import nn

from workbench.errors import WorkbenchError
from workbench.inspection import attribute_input, heat, likeness, picture, words
from workbench.task.classes import Classes


class Tokens(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(9, 4)
        self.fc = nn.Linear(4, 3)

    def forward(self, x):
        return self.fc(self.table(x).mean(1))


def test_a_linear_models_attribution_is_its_weight_times_the_input():
    model = nn.Sequential(nn.Flatten(), nn.Linear(6, 3)).train()
    inputs, targets = torch.randn(2, 2, 3), torch.tensor([0, 2])
    found = attribute_input(model, (inputs,), targets, Classes())
    weight = model[1].weight.detach()
    wanted = (weight[targets] - weight.mean(0)) * inputs.flatten(1)
    torch.testing.assert_close(found, wanted.view(2, 2, 3), rtol=1e-4, atol=1e-5)
    assert model.training
    assert all(value.grad is None for value in model.parameters())


def test_of_indices_each_is_left_out():
    model = Tokens()
    with torch.no_grad():
        model.table.weight[3] = model.table.weight[0]
    found = attribute_input(model, (torch.tensor([[3, 5, 0]]),), torch.tensor([1]), Classes())
    assert found.shape == (1, 3)
    assert found[0, 0] == found[0, 2] == 0
    assert found[0, 1] != 0
    with pytest.raises(WorkbenchError, match="at most 512 are attributed to; there are 600"):
        attribute_input(model, (torch.zeros(1, 600).long(),), torch.tensor([1]), Classes())


def test_likeness_is_of_the_pattern():
    one = torch.randn(3, 4)
    assert likeness(one, 5 * one) == pytest.approx(1)
    assert likeness(one, -one) == pytest.approx(-1)
    assert likeness(one, torch.zeros(3, 4)) == 0


def test_pictures_are_the_original_pixels():
    pixels = torch.arange(75).view(3, 5, 5).byte()
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)
    sample = (pixels / 255 - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    assert torch.equal(picture(sample, mean, std), pixels.movedim(0, -1))
    assert picture(torch.randn(4, 4)).shape == (4, 4, 3)
    assert picture(torch.randn(10)) is None
    assert picture(torch.randn(2, 8, 8)) is None
    assert words(torch.tensor([1, 2])) == "1, 2"
    assert words(torch.zeros(50)).endswith("… (50 values)")


def test_heat_is_white_where_there_is_nothing():
    drawn = heat(torch.tensor([[0.0, 1.0, -2.0]]), 1.0, ((200, 0, 0), (0, 0, 200)))
    assert drawn[0].tolist() == [[255, 255, 255], [0, 0, 200], [200, 0, 0]]
