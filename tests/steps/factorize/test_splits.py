"""Splits: exact at full rank, the best there are below it, and errors that are those of the outputs."""

import pytest
import torch
from torch import nn

from workbench.steps.calibration import patches
from workbench.steps.factorize.depthwise import DepthwiseSplit
from workbench.steps.factorize.forms import SPLITS
from workbench.steps.factorize.parts import in_factors
from workbench.steps.factorize.splits import ChannelSplit, SpatialSplit, composed, directions
from workbench.steps.factorize.tucker import TuckerSplit

LAYERS = {
    "strided": lambda: nn.Conv2d(6, 8, 3, stride=2, padding=1),
    "oblong": lambda: nn.Conv2d(6, 8, (3, 5), stride=(1, 2), padding=(1, 2), dilation=(2, 1), bias=False),
    "grouped": lambda: nn.Conv2d(6, 8, 3, groups=2),
    "circular": lambda: nn.Conv2d(6, 8, 3, padding="same", padding_mode="circular"),
    "widening": lambda: nn.Conv2d(2, 32, 3),
    "1d": lambda: nn.Conv1d(6, 8, 3, stride=2),
    "3d": lambda: nn.Conv3d(3, 4, 2),
    "linear": lambda: nn.Linear(6, 8),
    "narrowing": lambda: nn.Linear(40, 4),
}


@pytest.fixture(params=LAYERS)
def layer(request):
    torch.manual_seed(0)
    return LAYERS[request.param]().requires_grad_(False)


def inputs_of(layer, count=12):
    dims = len(getattr(layer, "kernel_size", ()))
    inside = layer.in_channels if dims else layer.in_features
    drawn = torch.randn(count, inside, *(9,) * dims, generator=torch.Generator().manual_seed(1))
    mixed = torch.einsum(
        "nc...,cd->nd...", drawn, torch.randn(inside, inside, generator=torch.Generator().manual_seed(2))
    )
    return mixed + 0.3


def moments_of(layer, inputs):
    rows = patches(layer, inputs).double()
    return torch.bmm(rows.mT, rows) / rows.shape[1]


def splits_of(layer):
    shape, groups = tuple(layer.weight.shape), getattr(layer, "groups", 1)
    return [(split, split.most(shape, groups)) for split in SPLITS.values() if split.fits(shape, groups)]


@pytest.mark.parametrize("seen", [False, True])
def test_at_full_rank_factors_compute_the_layer(layer, seen):
    inputs = inputs_of(layer)
    groups = getattr(layer, "groups", 1)
    for split, most in splits_of(layer):
        taken = split(layer.weight, groups, moments_of(layer, inputs) if seen else None)
        factors = taken.factors(most)
        assert tuple(tuple(factor.shape) for factor in factors) == split.shapes(tuple(layer.weight.shape), groups, most)
        assert taken.error(most) < 1e-9
        torch.testing.assert_close(in_factors(layer, split, factors)(inputs), layer(inputs), rtol=1e-4, atol=1e-4)


def test_the_error_is_that_of_the_outputs(layer):
    inputs = inputs_of(layer)
    whole = layer(inputs) - (0 if layer.bias is None else layer.bias.view(-1, *(1,) * (inputs.ndim - 2)))
    for split, most in splits_of(layer):
        taken = split(layer.weight, getattr(layer, "groups", 1), moments_of(layer, inputs))
        for rank in {1, most // 2 or 1}:
            gap = in_factors(layer, split, taken.rough(rank))(inputs) - layer(inputs)
            assert taken.error(rank) == pytest.approx(float(gap.square().sum() / whole.square().sum()), rel=1e-3)
            fitted = in_factors(layer, split, taken.factors(rank))(inputs) - layer(inputs)
            assert float(fitted.square().sum()) <= float(gap.square().sum()) * (1 + 1e-4)


def test_knowing_the_inputs_loses_less_at_the_outputs():
    torch.manual_seed(3)
    layer = nn.Conv2d(6, 8, 3, padding=1).requires_grad_(False)
    inputs = inputs_of(layer)
    for split in SPLITS.values():
        gaps = []
        for second in (None, moments_of(layer, inputs)):
            factors = split(layer.weight, 1, second).factors(3)
            gaps.append(float((in_factors(layer, split, factors)(inputs) - layer(inputs)).square().mean()))
        assert gaps[1] < 0.9 * gaps[0], split.kind


def test_channels_are_the_singular_vectors():
    weight = torch.randn(7, 5, generator=torch.Generator().manual_seed(0)).double()
    values = torch.linalg.svdvals(weight)
    taken = ChannelSplit(weight)
    first, second = taken.factors(2)
    assert float((weight - second @ first).square().sum()) == pytest.approx(float(values[2:].square().sum()))
    assert taken.error(2) == pytest.approx(float(values[2:].square().sum() / values.square().sum()))


def test_spatial_filters_are_the_best_separable_ones():
    # A sum of two products of a vertical and a horizontal filter has rank two, whatever its channels.
    drawn = torch.Generator().manual_seed(0)
    vertical, horizontal = torch.randn(2, 4, 3, generator=drawn), torch.randn(5, 2, 3, generator=drawn)
    weight = torch.einsum("riy,orx->oiyx", vertical, horizontal).double()
    taken = SpatialSplit(weight)
    assert taken.error(2) < 1e-12
    assert taken.error(1) > 1e-3
    first, second = taken.factors(2)
    torch.testing.assert_close(composed(first, second), weight)


def test_tucker_finds_a_core_that_is_there():
    drawn = torch.Generator().manual_seed(0)
    core = torch.randn(3, 3, 3, 3, generator=drawn)
    into, out = torch.randn(3, 6, generator=drawn), torch.randn(6, 3, generator=drawn)
    weight = torch.einsum("oa,abyx,bi->oiyx", out, core, into).double()
    assert TuckerSplit(weight).error(3) < 1e-12
    # The iteration is at least as near as the truncated higher-order decomposition that it begins with.
    weight = weight + torch.randn(weight.shape, generator=drawn).double()
    left = directions(weight.flatten(1), None)[0][:, :2]
    right = directions(weight.transpose(0, 1).flatten(1), None)[0][:, :2]
    begun = torch.einsum("oiyx,oa,pa,ib,jb->pjyx", weight, left, left, right, right)
    assert TuckerSplit(weight).error(2) <= float((weight - begun).square().sum() / weight.square().sum()) + 1e-12


def test_pairs_of_depthwise_and_pointwise_filters_are_found_again():
    drawn = torch.Generator().manual_seed(0)
    filters, weights = torch.randn(4, 2, 3, 3, generator=drawn), torch.randn(6, 4, 2, generator=drawn)
    weight = torch.einsum("ityx,oit->oiyx", filters, weights).double()
    taken = DepthwiseSplit(weight)
    assert taken.error(2) < 1e-12
    assert taken.error(1) > 1e-3
    torch.testing.assert_close(taken.product(taken.factors(2)), weight)


def test_inputs_that_never_occur_do_no_harm():
    layer = nn.Conv2d(4, 6, 3, bias=False).requires_grad_(False)
    inputs = inputs_of(layer)
    inputs[:, 1:3] = 0.0
    for split in SPLITS.values():
        for second in (moments_of(layer, inputs), torch.zeros(1, 36, 36).double()):
            factors = split(layer.weight, 1, second).factors(2)
            assert all(bool(factor.isfinite().all()) for factor in factors)
