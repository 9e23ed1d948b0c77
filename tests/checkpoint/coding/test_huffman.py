"""Entropy-coded codes come back, take about their entropy, and betray damage."""

import dataclasses

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.checkpoint.coding.test_codings import FITS, weight
from tests.checkpoint.coding.test_stored import check
from workbench.checkpoint.coding import grid, restore, store
from workbench.checkpoint.coding.huffman import expand, squeeze
from workbench.errors import WorkbenchError


@st.composite
def codes(draw):
    bits = draw(st.integers(1, 16))
    return torch.tensor(draw(st.lists(st.integers(0, 2**bits - 1), max_size=70)), dtype=torch.int64), bits


@given(codes())
def test_codes_come_back(case):
    values, bits = case
    packed = squeeze(values, bits)
    assert packed.dtype == torch.uint8
    assert torch.equal(expand(packed, bits, len(values)), values)


def test_they_take_about_their_entropy():
    generator = torch.Generator().manual_seed(0)
    values = (torch.randn(100_000, generator=generator) * 2.5).round().clamp(-7, 7).long() + 7
    parts = torch.bincount(values) / len(values)
    entropy = float(-(parts * parts.log2()).nansum()) * len(values) / 8
    assert entropy <= len(squeeze(values, 4)) <= 1.02 * entropy + 100
    assert len(squeeze(values, 4)) < 0.95 * len(values) / 2


@pytest.mark.parametrize("fit", FITS.values(), ids=FITS)
@pytest.mark.parametrize("kept", [0.0, 0.1, 0.6, 1.0])
def test_every_coding_comes_back_through_it_in_the_planned_bytes(fit, kept):
    values = weight(kept).repeat(4, 4, 1, 1)
    plain = fit(values, 0)
    coding = dataclasses.replace(plain, entropy=True)
    once = coding.round(values)
    short, long = check(once, coding), check(once, plain)
    assert long.saved_bytes == 0
    assert short.saved_bytes >= 0
    assert short.bytes <= long.bytes
    _, again = restore(*store(once, coding))
    assert again.entropy
    assert again.select(0, [0, 1]).entropy


def test_what_would_get_longer_stays_packed():
    values = torch.arange(256).float()
    coding = dataclasses.replace(grid(values, 8, None, symmetric=False), entropy=True)
    planned = check(coding.round(values), coding)
    assert planned.saved_bytes == 0
    assert planned.facts["entropy"] is False


def test_damage_is_refused():
    values = weight().repeat(4, 4, 1, 1)
    coding = dataclasses.replace(grid(values, 3, 0, symmetric=True), entropy=True)
    parts, facts = store(coding.round(values), coding)
    assert facts["entropy"]
    stream, count = parts["values"], values.numel()
    longer, wider = squeeze(torch.zeros(10**6).long(), 3), squeeze(torch.full((count,), 8), 4)
    for bad in (stream[:-9], torch.cat([stream[:5] ^ 255, stream[5:]]), longer, wider):
        with pytest.raises(WorkbenchError, match="do not fit"):
            restore({**parts, "values": bad}, facts)
