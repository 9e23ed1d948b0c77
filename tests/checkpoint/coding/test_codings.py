"""Every way to write values as codes: bit for bit, in the bits it says, through files and cuts."""

import pytest
import torch

from tests.checkpoint.coding.test_stored import check
from workbench.checkpoint.coding import (
    CODINGS,
    FORMATS,
    AdditivePowers,
    Binary,
    Codebook,
    PowersOfTwo,
    Ternary,
    fitted,
    grid,
)
from workbench.checkpoint.coding.additive_powers import sums
from workbench.checkpoint.coding.stored import restore, store
from workbench.steps.quantize.keep_signs import binary, ternary
from workbench.steps.quantize.share_weights import centroids
from workbench.steps.quantize.shorten_floats import floating


def weight(kept=1.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(6, 5, 3, 3, generator=generator) * torch.rand(6, 1, 1, 1, generator=generator)
    return values.masked_fill(torch.rand(values.shape, generator=generator) >= kept, 0.0)


FITS = {
    "uniform": lambda w, axis: grid(w, 3, axis, symmetric=False),
    "groups": lambda w, axis: grid(w, 3, axis, symmetric=False, group=0 if axis is None else 2),
    **{
        f"{kind.kind}, {bits} bits": lambda w, axis, kind=kind, bits=bits: fitted(kind, w, bits, axis, "mse")
        for kind in (PowersOfTwo, AdditivePowers)
        for bits in (2, 3, 4, 5, 6)
    },
    "binary": binary,
    "ternary": ternary,
    **{
        f"codebook, {bits} bits": lambda w, axis, bits=bits: Codebook(bits, centroids(w, 2**bits)) for bits in (1, 3, 8)
    },
    **{name: lambda w, axis, name=name: floating(w, name, axis) for name in FORMATS},
}
each_fit = pytest.mark.parametrize("fit", FITS.values(), ids=FITS)


@each_fit
@pytest.mark.parametrize("axis", [None, 0, 1])
@pytest.mark.parametrize("kept", [0.0, 0.1, 1.0])
def test_a_coding_comes_back_bit_for_bit_and_again(fit, axis, kept):
    values = weight(kept)
    coding = fit(values, axis)
    once = coding.round(values)
    assert coding.holds(once)
    assert torch.equal(coding.round(once), once)
    codes = coding.codes(values)
    assert 0 <= int(codes.min()) <= int(codes.max()) < 2**coding.bits
    check(once, coding)
    if coding.kind != "binary":
        assert bool((once == 0)[values == 0].all())
    assert int(codes.max()) < coding.count <= 2**coding.bits
    every = torch.arange(coding.count)
    if axis is None and coding.kind != "floating":
        assert bool((coding.values(every).diff() > 0).all())
        assert torch.equal(coding.codes(coding.values(every)), every)
    again = CODINGS[coding.kind].read(coding.facts(), coding.tables())
    assert torch.equal(again.round(values), once)


@each_fit
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_a_large_tensor_is_coded_in_pieces_as_in_one(fit, axis, monkeypatch):
    values = weight()
    coding = fit(values, axis)
    once, codes = coding.round(values), coding.codes(values)
    whole, _ = store(once, coding)
    monkeypatch.setattr("workbench.checkpoint.coding.coding.PIECE", 100)  # two rows at a time
    monkeypatch.setattr("workbench.checkpoint.coding.bits.PIECE", 16)
    assert len(list(coding.pieces(values))) == 3
    assert torch.equal(torch.cat([own.codes(part) for own, part in coding.pieces(values)]), codes)
    assert torch.equal(coding.round(values), once)
    assert coding.holds(once)
    assert not coding.holds(once + 1e-3)
    parts, facts = store(once, coding)
    assert all(torch.equal(parts[name], whole[name]) for name in whole)
    assert torch.equal(restore(parts, facts)[0], once)


@each_fit
@pytest.mark.parametrize("axis", [None, 0, 1])
@pytest.mark.parametrize(("dim", "keep"), [(0, [0, 2, 5]), (1, [1, 4]), (2, [0])])
def test_a_coding_follows_the_indices_that_stay(fit, axis, dim, keep):
    values = weight()
    coding = fit(values, axis)
    part = values.index_select(dim, torch.tensor(keep))
    whole = coding.round(values).index_select(dim, torch.tensor(keep))
    assert torch.equal(coding.select(dim, keep).round(part), whole)


def levels(kind, bits):
    return kind(bits, torch.tensor(1.0)).levels


def test_levels_are_those_of_the_papers():
    assert levels(PowersOfTwo, 3).tolist() == [-1, -0.5, -0.25, 0, 0.25, 0.5, 1]
    # Li et al. 2020, section 2.2: five bits are a sign and two terms of {0, 1, 1/4, 1/16} and {0, 1/2, 1/8, 1/32}.
    first, second = (0, 1, 1 / 4, 1 / 16), (0, 1 / 2, 1 / 8, 1 / 32)
    wanted = sorted({one + other for one in first for other in second})
    assert sorted(set(sums(4).tolist())) == wanted
    assert levels(AdditivePowers, 5)[15:].tolist() == pytest.approx([value / 1.5 for value in wanted])
    assert levels(Ternary, 2).tolist() == [-1, 0, 1]
    assert levels(Binary, 1).tolist() == [-1, 1]


@pytest.mark.parametrize("fit", [binary, ternary])
def test_signs_have_the_scale_of_least_error(fit):
    values = weight().flatten(1)
    coding = fit(values, 0)
    least = (coding.round(values) - values).square().sum(1)
    for part in torch.linspace(0.5, 1.5, 41).tolist():
        other = type(coding)(coding.bits, coding.scale * part, 0)
        assert bool((least <= (other.round(values) - values).square().sum(1) * (1 + 1e-5)).all())


def test_centroids_are_the_means_of_what_they_stand_for():
    values = weight()
    coding = Codebook(4, centroids(values, 16))
    codes = coding.codes(values)
    for code in range(16):
        assert float(coding.book[code]) == pytest.approx(float(values[codes == code].mean()), abs=2e-3)
    uniform = grid(values, 4, None, symmetric=False)
    assert (coding.round(values) - values).square().sum() < (uniform.round(values) - values).square().sum()


def test_few_values_are_kept_as_they_are():
    values = torch.tensor([0.0, 0.25, -3.0, 0.25])
    assert centroids(values, 4).tolist() == [-3.0, 0.0, 0.25]
    assert torch.equal(Codebook(2, centroids(values, 4)).round(values), values)


@pytest.mark.parametrize(
    ("name", "error"), [("bf16", 2**-8), ("fp16", 2**-11), ("fp8 e4m3", 2**-4), ("fp8 e5m2", 2**-3)]
)
def test_a_float_is_as_exact_as_its_mantissa(name, error):
    values = torch.linspace(0.5, 2.0, 400)
    rounded = floating(values, name, None).round(values)
    assert float(((rounded - values) / values).abs().max()) <= error * 1.001
    assert float(rounded[-1]) == pytest.approx(2.0)
