"""Tensors as parts of a file: bit for bit, in exactly the planned bytes."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from workbench.checkpoint.coding import grid, huffman, plan, restore, store
from workbench.checkpoint.coding.stored import DTYPES
from workbench.errors import WorkbenchError

FLOATS = [dtype for dtype in DTYPES if dtype.is_floating_point]
NAMES = {name: dtype for dtype, name in DTYPES.items()}


def tensor(dtype, count, kept, seed=0):
    """Return `count` values of which about the part `kept` is not zero."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(count, generator=generator) * 5
    values = values.masked_fill(torch.rand(count, generator=generator) >= kept, 0.0)
    if dtype == torch.bool:
        return values != 0
    return values.abs().to(dtype) if dtype in (torch.uint8, torch.uint16) else values.to(dtype)


def same_bits(one, other):
    return (
        one.dtype == other.dtype
        and one.shape == other.shape
        and torch.equal(one.contiguous().view(-1).view(torch.uint8), other.contiguous().view(-1).view(torch.uint8))
    )


def check(value, coding=None):
    planned = plan(value, coding)
    parts, facts = store(value, coding)
    assert facts == planned.facts
    assert sum(part.numel() * part.element_size() for part in parts.values()) == planned.bytes
    described = {name: (NAMES[dtype], shape) for name, (dtype, shape) in planned.shapes.items()}
    assert {name: (part.dtype, tuple(part.shape)) for name, part in parts.items()} == described
    back, again = restore(parts, facts)
    assert same_bits(back, value)
    assert (again is None) == (coding is None)
    return planned


@given(
    st.sampled_from(list(DTYPES)),
    st.integers(1, 300),
    st.sampled_from([0.0, 0.02, 0.3, 0.6, 1.0]),
    st.integers(0, 1000),
)
def test_every_type_comes_back_bit_for_bit(dtype, count, kept, seed):
    check(tensor(dtype, count, kept, seed))


@given(
    st.integers(2, 8),
    st.integers(1, 200),
    st.sampled_from([0.0, 0.05, 0.5, 1.0]),
    st.booleans(),
    st.sampled_from([None, 0, 1]),
    st.integers(0, 1000),
)
@example(2, 200, 0.05, False, 0, 1)
def test_every_grid_comes_back_bit_for_bit(bits, count, kept, symmetric, axis, seed):
    values = tensor(torch.float32, count * 3, kept, seed).view(3, count)
    coding = grid(values, bits, axis, symmetric)
    check(coding.round(values), coding)


@given(st.integers(1, 3000), st.sampled_from([0.0, 0.002, 0.02, 0.2]), st.booleans(), st.integers(0, 1000))
@example(256, 0.0, True, 0)
def test_entropy_coded_gaps_come_back_bit_for_bit(count, kept, last, seed):
    values = tensor(torch.float32, count, kept, seed)
    if last:  # a gap as long as the tensor
        values[-1] = 1.0
    coding = replace(grid(torch.tensor([-15.0, 15.0]), 4, None, symmetric=True), entropy=True)
    check(coding.round(values), coding)


def test_positions_of_few_values_are_gaps_near_their_entropy():
    values = tensor(torch.float32, 40_000, 0.15)
    coding = replace(grid(values, 3, None, symmetric=True), entropy=True)
    planned = check(coding.round(values).masked_fill(values == 0, 0.0), coding)
    kept = float((coding.round(values) != 0).double().mean())
    entropy = -kept * math.log2(kept) - (1 - kept) * math.log2(1 - kept)
    assert planned.layout == "gaps"
    assert planned.position_bytes < 1.03 * 40_000 * entropy / 8 + 100


def test_gaps_that_lead_too_far_are_refused():
    values = tensor(torch.float32, 4000, 0.1)
    coding = replace(grid(values, 3, None, symmetric=True), entropy=True)
    parts, facts = store(coding.round(values), coding)
    assert facts["layout"] == "gaps"
    longer = huffman.squeeze(torch.full((3990,), 200), 8)
    for bad in (longer, parts["gaps"][:-1], huffman.squeeze(torch.zeros(5000, dtype=torch.int64), 8)):
        with pytest.raises(WorkbenchError, match="do not fit"):
            restore({**parts, "gaps": bad}, facts)


@pytest.mark.parametrize(("kept", "layout"), [(1.0, "dense"), (0.5, "bitmask"), (0.01, "index")])
@pytest.mark.parametrize("dtype", FLOATS)
def test_the_layout_is_the_smallest(kept, layout, dtype):
    value = tensor(dtype, 4000, kept)
    planned = check(value)
    assert planned.layout == layout
    nonzero, width = int(torch.count_nonzero(value)), value.element_size()
    sizes = {"dense": 4000 * width, "bitmask": nonzero * width + 500, "index": nonzero * (width + 2)}
    assert planned.bytes == sizes[layout] == min(sizes.values())


def test_long_tensors_have_wide_indices():
    value = torch.zeros(70_000)
    value[69_999] = 1.5
    assert check(value).shapes["index"][0] == "I32"


def test_an_empty_tensor_and_a_scalar_come_back():
    check(torch.zeros(0, 3))
    check(torch.tensor(3.25))


def test_a_zero_that_was_left_out_comes_back_without_its_sign():
    value = torch.full((200,), -0.0)
    value[3] = -1.0
    back, _ = restore(*store(value))
    assert torch.equal(back, value)
    assert not back.signbit()[value == 0].any()


def test_values_beside_the_grid_are_not_stored():
    coding = grid(torch.tensor([-1.0, 1.0]), 4, None, symmetric=True)
    with pytest.raises(WorkbenchError, match="not on the 4-bit grid"):
        store(torch.tensor([-1.0, 0.9]), coding)


@pytest.mark.parametrize(
    "damage",
    [
        {"shape": [3]},
        {"layout": "sparse"},
        {"layout": "bitmask"},
        {"coding": "huffman"},
        {"bits": 16},
        {"bits": "4"},
        {"shape": "x"},
        {"shape": [-5, 20]},
    ],
    ids=str,
)
def test_facts_that_do_not_fit_the_parts_are_refused(damage):
    values = tensor(torch.float32, 100, 1.0)
    coding = grid(values, 4, None, symmetric=True)
    parts, facts = store(coding.round(values), coding)
    with pytest.raises(WorkbenchError, match="do not fit"):
        restore(parts, {**facts, **damage})


def test_an_index_outside_of_the_tensor_is_refused():
    values = torch.zeros(1000)
    values[[3, 500]] = 1.0
    parts, facts = store(values)
    assert facts["layout"] == "index"
    for bad in (1000, 65_535):
        with pytest.raises(WorkbenchError, match="do not fit"):
            restore({**parts, "index": torch.tensor([3, bad], dtype=torch.uint16)}, facts)
