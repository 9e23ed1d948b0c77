"""Packed whole numbers come back, and take no more bytes than they must."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from workbench.checkpoint.coding.bits import pack, packed_bytes, unpack


@st.composite
def codes(draw) -> tuple[list[int], int]:
    bits = draw(st.integers(1, 16))
    return draw(st.lists(st.integers(0, 2**bits - 1), max_size=70)), bits


@given(codes())
def test_codes_come_back(case):
    values, bits = case
    packed = pack(torch.tensor(values, dtype=torch.int64), bits)
    assert packed.dtype == torch.uint8
    assert len(packed) == packed_bytes(len(values), bits) == -(-len(values) * bits // 8)
    assert unpack(packed, bits, len(values)).tolist() == values


def test_the_lowest_bit_comes_first():
    assert pack(torch.tensor([1, 2, 3]), 4).tolist() == [0x21, 0x03]
    assert pack(torch.tensor([1, 0, 0, 0, 0, 0, 0, 1, 1]), 1).tolist() == [0b10000001, 1]
    assert pack(torch.tensor([0x1234]), 16).tolist() == [0x34, 0x12]
