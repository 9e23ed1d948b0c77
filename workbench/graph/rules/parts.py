"""Operators that join tensors or take parts of them: cat, stack, chunk, slice, select."""

from __future__ import annotations

from functools import reduce

import numpy as np

from workbench.graph.flow import Call, Dims, Labelled, Rule, is_tracked, positions

PART = "taken apart by position"
CHOSEN = "chosen by an index"


def cat(call: Call) -> Dims:
    tensors: list[Labelled] = call.arguments["tensors"]
    # An empty vector may be joined to anything, and adds nothing.
    parts = [value.dims for value in tensors if len(value.dims) > 1 or len(value.dims[0])]
    axis = int(call.arguments.get("dim", 0)) % len(parts[0])
    return tuple(
        np.concatenate(column) if number == axis else reduce(call.unify, column)
        for number, column in enumerate(zip(*parts, strict=True))
    )


def stack(call: Call) -> Dims:
    tensors: list[Labelled] = call.arguments["tensors"]
    joined = [reduce(call.unify, column) for column in zip(*(v.dims for v in tensors), strict=True)]
    joined.insert(int(call.arguments["dim"]) % (len(joined) + 1), positions(len(tensors)))
    return tuple(joined)


def chunk(call: Call) -> list[Dims]:
    """Equal parts are coupled position by position, so that they stay equal; unequal ones are apart."""
    source = call.dims("self")
    axis = int(call.arguments.get("dim", 0)) % len(source)
    sizes = [shape[axis] for shape in call.shapes]
    labels = source[axis]
    if is_tracked(labels) and len(set(sizes)) == 1 and len(sizes) > 1:
        parts = [call.tie(labels, len(sizes))] * len(sizes)
    else:
        parts = np.split(labels, np.cumsum(sizes)[:-1])
    return [(*source[:axis], part, *source[axis + 1 :]) for part in parts]


def unbind(call: Call) -> list[Dims]:
    source = call.dims("self")
    axis = int(call.arguments["dim"]) % len(source)
    call.fix(source[axis], PART)
    return [(*source[:axis], *source[axis + 1 :])] * len(call.shapes)


def select(call: Call) -> Dims:
    return unbind(call)[0]


def cut_out(call: Call) -> Dims:
    """A slice of the whole dimension changes nothing, any other one fixes the channels."""
    source, shape = call.dims("self"), call.shapes[0]
    axis = int(call.arguments["dim"]) % len(source)
    labels = source[axis]
    if len(labels) != shape[axis]:
        call.fix(labels, PART)
    start, step = call.arguments.get("start") or 0, call.arguments.get("step", 1)
    start = max(start + len(labels), 0) if start < 0 else start
    part = labels[start :: step or 1][: shape[axis]]
    return (*source[:axis], part, *source[axis + 1 :])


def index(call: Call) -> Dims:
    """Rows of a table, chosen by numbers: what is chosen from is fixed, what stands beside it keeps its labels."""
    source, chosen = call.dims("self"), list(call.arguments["indices"])
    axes = [axis for axis, numbers in enumerate(chosen) if isinstance(numbers, Labelled)]
    for axis in axes:
        call.fix(source[axis], CHOSEN)
    added = len(call.shapes[0]) - (len(source) - len(axes))
    together = axes == list(range(axes[0], axes[-1] + 1))
    first = axes[0] if together else 0
    rest = [labels for axis, labels in enumerate(source) if axis not in axes]
    rows = map(positions, call.shapes[0][first : first + added])
    return (*rest[:first], *rows, *rest[first:])


def index_select(call: Call) -> Dims:
    source = call.dims("self")
    axis = int(call.arguments["dim"]) % len(source)
    call.fix(source[axis], CHOSEN)
    return (*source[:axis], positions(call.shapes[0][axis]), *source[axis + 1 :])


RULES: dict[str, Rule] = {
    **dict.fromkeys(["cat", "concat", "concatenate"], cat),
    **dict.fromkeys(["chunk", "split", "split_with_sizes", "tensor_split"], chunk),
    **dict.fromkeys(["slice", "narrow"], cut_out),
    "stack": stack,
    "unbind": unbind,
    "index": index,
    "index_select": index_select,
    "select": select,
}
