"""The integer grid: what it rounds, how far, and what survives exactly."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from workbench.checkpoint.coding import CODINGS, Uniform, grid

SHAPES = st.sampled_from([(1, 7), (4, 6), (3, 4, 5), (2, 3, 2, 2)])


@st.composite
def weights(draw) -> torch.Tensor:
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    shape = draw(SHAPES)
    size = 10.0 ** draw(st.integers(-6, 4))
    shift = draw(st.sampled_from([0.0, 0.5, -3.0]))
    values = (torch.randn(shape, generator=generator) + shift) * size
    return values * (torch.rand(shape, generator=generator) > draw(st.sampled_from([0.0, 0.5, 0.95, 1.0])))


@st.composite
def grids(draw) -> tuple[torch.Tensor, Uniform]:
    weight = draw(weights())
    axis = draw(st.sampled_from([None, *range(weight.ndim)]))
    group = draw(st.integers(0, 3)) if axis in (0, 1) else 0
    return weight, grid(weight, draw(st.integers(2, 8)), axis, draw(st.booleans()), group=group)


def bits_equal(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.dtype == other.dtype and bool((one.view(torch.int32) == other.view(torch.int32)).all())


@given(grids())
def test_rounding_twice_is_rounding_once_bit_for_bit(case):
    weight, coding = case
    once = coding.values(coding.codes(weight))
    assert bits_equal(coding.values(coding.codes(once)), once)
    assert coding.holds(once)
    assert bits_equal(coding.round(weight), once)


@given(grids())
def test_codes_fit_their_bits(case):
    weight, coding = case
    codes = coding.codes(weight)
    assert codes.shape == weight.shape
    assert int(codes.min()) >= 0
    assert int(codes.max()) < 2**coding.bits
    assert int(codes.max()) + coding.low <= coding.high


@given(grids())
def test_no_value_moves_by_more_than_half_a_scale(case):
    weight, coding = case
    wide = coding.wide(coding.scale, weight.ndim).double()
    error = (coding.round(weight).double() - weight.double()).abs()
    # An asymmetric grid's ends move by the rounding of its zero point: up to another half at the very edge.
    reach = 0.5 if not coding.zero_point.any() else 1.0
    assert bool((error <= wide * (reach + 1e-3)).all())


@given(grids())
def test_half_a_scale_holds_for_what_lies_inside_of_the_grid(case):
    weight, coding = case
    wide = coding.wide(coding.scale, weight.ndim).double()
    zero = coding.wide(coding.zero_point, weight.ndim)
    inside = ((coding.low - zero) * wide <= weight) & (weight <= (coding.high - zero) * wide)
    error = (coding.round(weight).double() - weight.double()).abs()
    assert bool((error <= wide * 0.501)[inside].all())


@given(grids())
def test_zero_is_on_every_grid(case):
    weight, coding = case
    assert torch.equal(coding.round(torch.zeros_like(weight)), torch.zeros_like(weight))


@given(grids())
def test_a_grid_is_read_back_from_its_facts_and_tables(case):
    weight, coding = case
    again = CODINGS[coding.kind].read(coding.facts(), coding.tables())
    assert torch.equal(again.codes(weight), coding.codes(weight))
    assert bits_equal(again.round(weight), coding.round(weight))


@given(grids(), st.data())
def test_a_grid_follows_the_channels_that_stay(case, data):
    weight, coding = case
    dim = data.draw(st.integers(0, weight.ndim - 1))
    keep = sorted(data.draw(st.sets(st.integers(0, weight.shape[dim] - 1), min_size=1)))
    part = weight.index_select(dim, torch.tensor(keep))
    whole = coding.round(weight).index_select(dim, torch.tensor(keep))
    assert bits_equal(coding.select(dim, keep).round(part), whole)


@pytest.mark.parametrize("bits", range(2, 9))
def test_the_grid_of_numbers_that_are_known(bits):
    weight = torch.tensor([[-1.0, 0.5, 1.0], [-4.0, 2.0, 3.0]])
    symmetric = grid(weight, bits, 0, symmetric=True)
    torch.testing.assert_close(symmetric.scale, torch.tensor([1.0, 4.0]) / (2 ** (bits - 1) - 1))
    assert (symmetric.low, symmetric.high) == (-(2 ** (bits - 1)) + 1, 2 ** (bits - 1) - 1)
    assert symmetric.zero_point.tolist() == [0, 0]
    whole = grid(weight, bits, None, symmetric=False)
    torch.testing.assert_close(whole.scale, torch.tensor(7.0 / (2**bits - 1)))
    assert whole.high - whole.low == 2**bits - 1


def squared(coding, weight):
    return (coding.round(weight) - weight).square().sum(1)


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_the_least_squared_error_is_never_above_another_range(bits, symmetric):
    weight = torch.randn(8, 300, generator=torch.Generator().manual_seed(0)) ** 3
    best = squared(grid(weight, bits, 0, symmetric, "mse"), weight)
    for part in (100.0, 99.0, 95.0, 90.0):
        other = squared(grid(weight, bits, 0, symmetric, "percentile", part), weight)
        assert bool((best <= other * 1.02).all())
    assert bool((best <= squared(grid(weight, bits, 0, symmetric), weight)).all())


def test_a_percentile_clips_what_lies_outside():
    weight = torch.cat([torch.linspace(-1, 1, 999), torch.tensor([50.0])]).view(1, -1)
    assert float(grid(weight, 8, 0, True, "percentile", 99.9).scale) == pytest.approx(1 / 127)
    assert float(grid(weight, 8, 0, True, "percentile", 100.0).scale) == pytest.approx(50 / 127)
    lopsided = grid(weight, 8, 0, False, "percentile", 99.0)
    assert float(lopsided.scale) == pytest.approx(1.96 / 255, rel=0.01)


def test_groups_of_inputs_have_scales_of_their_own():
    weight = torch.randn(4, 10, 3, 3, generator=torch.Generator().manual_seed(0)) * torch.arange(1, 11).view(
        1, 10, 1, 1
    )
    coding = grid(weight, 4, 0, symmetric=True, group=4)
    assert coding.groups == (4, 4, 2)
    torch.testing.assert_close(coding.scale[:, 2], weight[:, 8:].abs().amax((1, 2, 3)) / 7)
    for number, part in enumerate(torch.split(weight, 4, dim=1)):
        alone = grid(part, 4, 0, symmetric=True)
        assert torch.equal(coding.round(weight).split(4, dim=1)[number], alone.round(part))
    assert coding.select(1, [0, 3, 9]).groups == (2, 1)


def test_a_channel_of_zeros_has_a_grid():
    weight = torch.tensor([[0.0, 0.0], [1.0, -1.0]])
    for symmetric in (True, False):
        assert torch.equal(grid(weight, 4, 0, symmetric).round(weight)[0], torch.zeros(2))
