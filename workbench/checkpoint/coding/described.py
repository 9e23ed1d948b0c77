"""What a file says of a packed tensor, checked before any memory is taken for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

# A layout that leaves zeros out, and codes of equal values in an entropy-coded stream, take next to nothing in a file.
# So many values may come out of it all the same, by what it holds.
VALUES, VALUES_PER_BYTE = 1 << 20, 1024
MOST_BITS = 16
DIMENSIONS = 25
LAYOUTS = ("dense", "bitmask", "index", "gaps")
# Parts of a packed tensor, with the types that each may have.
PARTS: Mapping[str, tuple[torch.dtype, ...]] = {
    "mask": (torch.uint8,),
    "index": (torch.uint16, torch.int32),
    "gaps": (torch.uint8,),
    "scale": (torch.float32,),
    "zero_point": (torch.int16,),
    "book": (torch.float32,),
}


def room(file_bytes: int) -> int:
    """Return how many values all packed tensors of a file of that size may have together."""
    return VALUES + VALUES_PER_BYTE * file_bytes


def whole(facts: Mapping[str, Any], name: str, low: int, high: int, default: int | None = None) -> int:
    """Return a whole number of the description.

    Raises:
        ValueError: It is missing, something else, or not in [low, high].
    """
    value = facts.get(name, default)
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"{name} is {_shown(value)}, which is no whole number from {low} to {high}")
    return value


def shape_of(facts: Mapping[str, Any], most: int) -> tuple[list[int], int]:
    """Return the shape of the tensor and how many values it has.

    Raises:
        ValueError: There is none, or it has more than `most` values.
    """
    shape = facts.get("shape")
    if not isinstance(shape, list) or len(shape) > DIMENSIONS or any(type(s) is not int or s < 0 for s in shape):
        raise ValueError(f"the shape is {_shown(shape)}")
    count = 1
    for size in shape:
        count *= size
        if size > 1 << 48 or count > 1 << 48:
            break
    if count > most:
        raise ValueError(f"the shape is {_shown(shape)}, of more values than a file of this size may hold")
    return shape, count


def check_facts(facts: Mapping[str, Any], parts: Mapping[str, Tensor], shape: list[int]) -> None:
    """Look at everything from which a coding is made.

    Raises:
        ValueError: Something is not what `store` writes.
    """
    if facts.get("layout", "dense") not in LAYOUTS:
        raise ValueError(f"the layout is {_shown(facts['layout'])}")
    for name, part in parts.items():
        if name != "values" and (name not in PARTS or part.dtype not in PARTS[name]):
            raise ValueError(f"a part {name[:40]} of {part.dtype}")
    if "coding" not in facts:
        return
    if parts["values"].dtype != torch.uint8 or parts["values"].dim() != 1:
        raise ValueError(f"codes are {parts['values'].dtype} of {parts['values'].dim()} dimensions")
    if type(facts.get("entropy", False)) is not bool:
        raise ValueError(f"entropy is {_shown(facts['entropy'])}")
    if "bits" in facts or "format" not in facts:
        bits = whole(facts, "bits", 1, MOST_BITS)
        low = whole(facts, "low", -(1 << MOST_BITS), 1 << MOST_BITS, 0)
        whole(facts, "high", low, low + (1 << bits) - 1, low)
    axis = whole(facts, "axis", 0, len(shape) - 1) if facts.get("axis") is not None else None
    _check_tables(facts, parts, shape, axis)


def _check_tables(facts: Mapping[str, Any], parts: Mapping[str, Tensor], shape: list[int], axis: int | None) -> None:
    groups = _groups(facts, shape, axis)
    wanted = [] if axis is None else [shape[axis]] if groups is None else [shape[axis], groups]
    for name in ("scale", "zero_point"):
        if name in parts and list(parts[name].shape) != wanted:
            raise ValueError(f"{name} has the shape {_shown(list(parts[name].shape))} where {wanted} belongs")
    if "book" in parts:
        book = parts["book"]
        if book.dim() != 1 or not 1 <= len(book) <= 1 << whole(facts, "bits", 1, MOST_BITS):
            raise ValueError(f"the codebook has the shape {_shown(list(book.shape))}")


def _groups(facts: Mapping[str, Any], shape: list[int], axis: int | None) -> int | None:
    """Return how many groups of inputs have scales of their own, None where they have not."""
    groups = facts.get("groups")
    if not groups:
        return None
    if axis not in (0, 1) or len(shape) < 2 or not isinstance(groups, list) or len(groups) > shape[1 - axis]:
        raise ValueError(f"groups are {_shown(groups)}")
    total = count = 0
    for pair in groups:
        if not isinstance(pair, list) or len(pair) != 2 or any(type(n) is not int or n < 1 for n in pair):
            raise ValueError(f"a group is {_shown(pair)}")
        total, count = total + pair[0] * pair[1], count + pair[1]
    if total != shape[1 - axis]:
        raise ValueError(f"groups cover {_shown(total)} of {shape[1 - axis]} inputs")
    return count


def _shown(value: Any) -> str:
    text = repr(value) if not isinstance(value, int) or abs(value) < 1 << 64 else "a number of more than 64 bits"
    return text if len(text) <= 60 else f"{text[:57]}..."
