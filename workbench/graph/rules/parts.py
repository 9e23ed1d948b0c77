"""Operators that join tensors or take parts of them: cat, stack, chunk, slice, select."""

from __future__ import annotations

from functools import reduce

import numpy as np

from workbench.graph.flow import Call, Dims, Labelled, Rule, is_tracked, positions

PART = "taken apart by position"


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
    """Equal parts are coupled position by position, so that they stay equal."""
    source = call.dims("self")
    axis = int(call.arguments.get("dim", 0)) % len(source)
    sizes = [shape[axis] for shape in call.shapes]
    labels = source[axis]
    if is_tracked(labels) and len(set(sizes)) == 1 and len(sizes) > 1:
        parts = [call.tie(labels, len(sizes))] * len(sizes)
    else:
        if len(sizes) > 1:
            call.fix(labels, "split into parts of constant size")
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


RULES: dict[str, Rule] = {
    **dict.fromkeys(["cat", "concat", "concatenate"], cat),
    **dict.fromkeys(["chunk", "split", "split_with_sizes", "tensor_split"], chunk),
    **dict.fromkeys(["slice", "narrow"], cut_out),
    "stack": stack,
    "unbind": unbind,
    "select": select,
}
