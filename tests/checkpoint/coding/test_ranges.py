"""Ranges of activation grids, where they are known."""

import pytest
import torch

from workbench.checkpoint.coding import BINS, histogram_range


def counted(values):
    low, high = float(values.min()), float(values.max())
    return torch.histc(values, BINS, low, high), low, high


def samples(seed=0):
    return torch.randn(200_000, generator=torch.Generator().manual_seed(seed))


def rounding_error(values, bits, low, high):
    scale = (high - low) / (2**bits - 1)
    return float((((values.clamp(low, high) / scale).round() * scale) - values).square().mean())


@pytest.mark.parametrize("how", ["percentile", "mse", "entropy"])
def test_an_outlier_does_not_stretch_the_grid(how):
    values = torch.cat([samples().abs(), torch.tensor([100.0])])
    low, high = histogram_range(*counted(values), 4, how, 99.9)
    assert low == 0
    assert 1.5 < high < 6
    assert rounding_error(values[:-1], 4, low, high) < rounding_error(values[:-1], 4, 0.0, 100.0) / 10


@pytest.mark.parametrize("how", ["mse", "entropy"])
def test_even_values_are_not_clipped(how):
    values = torch.linspace(0, 1, 100_000)
    assert histogram_range(*counted(values), 8, how, 99.9)[1] > 0.97


def test_a_percentile_is_where_it_is():
    low, high = histogram_range(*counted(samples()), 8, "percentile", 99.0)
    assert (low, high) == pytest.approx((-2.326, 2.326), abs=0.03)


def test_fewer_bits_clip_more():
    found = [histogram_range(*counted(samples()), bits, "mse", 99.9)[1] for bits in (2, 4, 8)]
    assert found == sorted(found)
    assert found[0] < found[2] * 0.7


@pytest.mark.parametrize("how", ["percentile", "mse", "entropy"])
@pytest.mark.parametrize("value", [0.0, 3.0, -2.0])
def test_a_single_value_has_a_range(how, value):
    low, high = histogram_range(*counted(torch.full((50,), value)), 8, how, 99.9)
    assert low <= min(value, 0.0) * 0.9
    assert high >= max(value, 0.0) * 0.9
