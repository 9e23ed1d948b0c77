"""Twins share tensors and nothing else; values stand in for parameters and go again."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from workbench.model.twin import kept_twin, sharing_copy, standing_in, twin


class Tied(nn.Module):
    """Two linear layers with one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
        self.second.weight = self.first.weight

    def forward(self, x):
        return self.second(self.first(x))


def test_a_twin_has_the_tensors_and_its_own_mode():
    model = Tied().train()
    made = twin(model)
    assert made.first.weight is made.second.weight is model.first.weight
    assert model.training
    assert not made.training


def test_values_stand_in_wherever_a_parameter_is_tied():
    model, inputs, other = Tied().eval(), torch.randn(4, 3), torch.randn(3, 3)
    wanted = inputs @ other.T @ other.T
    with torch.inference_mode():
        torch.testing.assert_close(twin(model, {"second.weight": other})(inputs), wanted)
        kept, before = kept_twin(model), model(inputs)
        with standing_in(kept, {"first.weight": other}):
            torch.testing.assert_close(kept(inputs), wanted)
        torch.testing.assert_close(kept(inputs), before)


def test_what_stood_in_goes_when_the_model_fails():
    model = Tied()
    kept = kept_twin(model)
    with pytest.raises(RuntimeError), standing_in(kept, {"first.weight": torch.randn(3, 3)}):
        kept(torch.randn(2, 7))
    assert kept.first.weight is kept.second.weight is model.first.weight


def test_a_kept_twin_is_made_again_when_the_model_has_other_parts():
    model = Tied()
    kept = kept_twin(model)
    assert kept_twin(model) is kept
    model.second = nn.Linear(3, 3, bias=False)
    assert kept_twin(model) is not kept
    assert kept_twin(model).second.weight is model.second.weight


def test_a_sharing_copy_shares_memory_and_can_be_converted_alone():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).eval()
    model.append(model[0])  # tied
    copied = sharing_copy(model, {"2.weight": torch.zeros(2, 4)})
    assert copied[0].weight.data_ptr() == model[0].weight.data_ptr()
    assert copied[3].weight is copied[0].weight
    assert not copied[2].weight.any()
    assert model[2].weight.any()
    copied.double()
    assert model[0].weight.dtype == torch.float32
    assert model[1].running_mean.dtype == torch.float32
