"""Operators that only rearrange: reshape, permute, expand, repeat, pad."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from workbench.graph.flow import Call, Dims, Rule, is_tracked, positions
from workbench.graph.labels import Array

RESHAPES = (
    "view",
    "reshape",
    "_unsafe_view",
    "flatten",
    "unflatten",
    "unsqueeze",
    "squeeze",
    "view_as",
    "reshape_as",
    "ravel",
)


def reshape(call: Call) -> Dims:
    """Follow channels through any change of shape that keeps the row-major order of the elements."""
    source, shape = call.dims("self"), call.shapes[0]
    for labels in source:
        if len(labels) == 1:
            call.fix(labels, "a single channel, reshaped")
    result = [positions(1)] * len(shape)
    long_in = [axis for axis, labels in enumerate(source) if len(labels) != 1]
    long_out = [axis for axis, size in enumerate(shape) if size != 1]
    for ins, outs in _aligned([len(source[a]) for a in long_in], [shape[a] for a in long_out]):
        sizes = [shape[long_out[o]] for o in outs]
        regrouped = _regroup(call, [source[long_in[i]] for i in ins], sizes, (call.name, outs.start))
        for out, labels in zip(outs, regrouped, strict=True):
            result[long_out[out]] = labels
    return tuple(result)


def _aligned(ins: Sequence[int], outs: Sequence[int]) -> Iterator[tuple[range, range]]:
    """Yield the shortest runs of input and output dimensions with the same product."""
    i = o = 0
    while i < len(ins):
        start_i, start_o = i, o
        left, right, i, o = ins[i], outs[o], i + 1, o + 1
        while left != right:
            if left < right:
                left, i = left * ins[i], i + 1
            else:
                right, o = right * outs[o], o + 1
        yield range(start_i, i), range(start_o, o)


def _regroup(call: Call, ins: list[Array], sizes: list[int], key: tuple[str, int]) -> list[Array]:
    if len(ins) == len(sizes) == 1:
        return ins
    ins = [_counted(call, labels) for labels in ins]
    tracked = [axis for axis, labels in enumerate(ins) if is_tracked(labels)]
    if not tracked:
        # A reason outlives the reshape, so that what it meets later is explained by it.
        reason = min(int(labels.min()) for labels in ins)
        return [np.full(size, reason, dtype=np.int64) for size in sizes]
    if len(tracked) == 1:
        moved = _one_axis(ins, tracked[0], sizes)
        if moved is not None:
            return moved
    if call.splits.axes is None:
        if all((ins[axis] >= 0).all() for axis in tracked):
            return _explored(call, ins, tracked, sizes, key)
    elif len(tracked) == 1 and key in call.splits.axes:
        return _taken_apart(call, ins, tracked[0], sizes, call.splits.axes[key])
    split = len(sizes) > 1
    why = "split by a reshape, as attention heads are," if split else "merged with other channels by a reshape"
    for labels in ins:
        call.fix(labels, why, split)
    return [call.constant(why, size, split) for size in sizes]


def _counted(call: Call, labels: Array) -> Array:
    """Return copies that are counted together with something else as places: their number is a part of the shape."""
    if not call.labels.are_copies(labels):
        return labels
    call.fix(labels, "repeated, and merged with other dimensions by a reshape,")
    return positions(len(labels))


def _one_axis(ins: list[Array], tracked: int, sizes: list[int]) -> list[Array] | None:
    """Return the labels after the reshape if one output dimension holds them all, None if it splits them."""
    before, after = math.prod(map(len, ins[:tracked])), math.prod(map(len, ins[tracked + 1 :]))
    flat = np.tile(np.repeat(ins[tracked], after), before).reshape(sizes)
    for axis, size in enumerate(sizes):
        line = np.moveaxis(flat, axis, 0).reshape(size, -1)
        if (line == line[:, :1]).all():
            return [line[:, 0] if a == axis else positions(s) for a, s in enumerate(sizes)]
    return None


def _explored(call: Call, ins: list[Array], tracked: list[int], sizes: list[int], key: tuple[str, int]) -> list[Array]:
    """Return labels of their own for each new dimension that counts something of one dimension taken apart."""
    call.splits.inputs[key], call.splits.outputs[key] = ins[tracked[0]], []
    if len(tracked) > 1:
        return [call.labels.fresh(size) for size in sizes]
    for axis, size in enumerate(sizes):
        lines = _lines(ins, tracked[0], sizes, axis)
        part = _parts(lines, len(ins[tracked[0]]))
        number = int(part.max()) + 1
        counts = call.labels.fresh(number)[part[lines[:, 0]]] if number > 1 else positions(size)
        call.splits.outputs[key].append(counts)
    return call.splits.outputs[key]


def _taken_apart(call: Call, ins: list[Array], tracked: int, sizes: list[int], axis: int) -> list[Array]:
    """Couple the channels that have the same place in one new dimension; the others are places within a head."""
    line = ins[tracked][_lines(ins, tracked, sizes, axis)]
    call.unify(np.repeat(line[:, 0], line.shape[1]), line.reshape(-1))
    return [line[:, 0] if a == axis else positions(size) for a, size in enumerate(sizes)]


def _lines(ins: list[Array], tracked: int, sizes: list[int], axis: int) -> Array:
    """Return the channels' numbers in the dimension that is taken apart, [size of the new dimension, others]."""
    before, after = math.prod(map(len, ins[:tracked])), math.prod(map(len, ins[tracked + 1 :]))
    flat = np.tile(np.repeat(np.arange(len(ins[tracked])), after), before).reshape(sizes)
    return np.moveaxis(flat, axis, 0).reshape(sizes[axis], -1)


def _parts(lines: Array, size: int) -> Array:
    """Return the part that each of `size` channels is in, where all channels of a line are in one part."""
    part = np.arange(size)
    while True:
        least = part[lines].min(axis=1)
        smaller = part.copy()
        np.minimum.at(smaller, lines, np.broadcast_to(least[:, None], lines.shape))
        if (smaller == part).all():
            return np.unique(part, return_inverse=True)[1]
        part = smaller


def permute(call: Call) -> Dims:
    source = call.dims("self")
    return tuple(source[int(axis)] for axis in call.arguments["dims"])


def transpose(call: Call) -> Dims:
    source = list(call.dims("self"))
    names = ("axis0", "axis1") if "axis0" in call.arguments else ("dim0", "dim1")
    first, second = (call.arguments.get(name, default) for name, default in zip(names, (-2, -1), strict=True))
    source[first], source[second] = source[second], source[first]
    return tuple(source)


def movedim(call: Call) -> Dims:
    source = call.dims("self")
    ends = [call.arguments[name] for name in ("source", "destination")]
    origin, target = ([axis % len(source) for axis in ([e] if isinstance(e, int) else e)] for e in ends)
    moved = dict(zip(target, origin, strict=True))
    rest = iter(axis for axis in range(len(source)) if axis not in origin)
    return tuple(source[moved[axis] if axis in moved else next(rest)] for axis in range(len(source)))


def expand(call: Call) -> Dims:
    """A dimension of one is repeated as often as what it meets needs; one that is long already stays."""
    source, shape = call.dims("self"), call.shapes[0]
    added = len(shape) - len(source)
    other = call.optional("other")  # as long as another tensor's, whatever of it is removed
    result = list(other) if other is not None else [_copies(call, size) for size in shape]
    for axis, labels in enumerate(source, added):
        if len(labels) == shape[axis]:
            result[axis] = labels
        elif is_tracked(labels):
            call.fix(labels, "one channel, expanded")
    return tuple(result)


def _copies(call: Call, size: int) -> Array:
    return call.labels.copies(size) if size > 1 else positions(size)


def repeat(call: Call) -> Dims:
    source, times = call.dims("self"), call.arguments.get("repeats", call.arguments.get("dims"))
    padded = (*(positions(1) for _ in range(len(times) - len(source))), *source)
    return tuple(np.tile(labels, int(count)) for labels, count in zip(padded, times, strict=True))


def repeat_interleave(call: Call) -> Dims:
    """Each index is there several times, one after the other."""
    source, count, dim = list(call.dims("self")), int(call.arguments["repeats"]), call.arguments["dim"]
    source[dim] = np.repeat(source[dim], count)
    return tuple(source)


def pad(call: Call) -> Dims:
    """Padded channels are there whatever is removed, the others keep their labels."""
    source = list(call.dims("self"))
    widths = call.arguments["pad"]
    constant = call.arguments.get("mode", "constant") == "constant"
    for number in range(len(widths) // 2):
        axis, before, after = -1 - number, int(widths[2 * number]), int(widths[2 * number + 1])
        labels = source[axis]
        if not is_tracked(labels) or not (before or after):
            source[axis] = labels if not (before or after) else np.resize(labels, len(labels) + before + after)
        elif constant and before >= 0 and after >= 0:
            source[axis] = np.concatenate([_padding(call, before), labels, _padding(call, after)])
        else:
            call.fix(labels, "padded with other channels, or cropped,")
            source[axis] = call.constant("padded with other channels, or cropped,", call.shapes[0][axis])
    return tuple(source)


def _padding(call: Call, width: int) -> Array:
    return call.constant("padded with a constant number of channels", width)


RULES: dict[str, Rule] = {
    **dict.fromkeys(RESHAPES, reshape),
    **dict.fromkeys(["transpose", "swapaxes", "swapdims", "t", "mT", "numpy_T"], transpose),
    **dict.fromkeys(["expand", "expand_as", "broadcast_to"], expand),
    **dict.fromkeys(["repeat", "tile"], repeat),
    **dict.fromkeys(["pad", "constant_pad_nd"], pad),
    "repeat_interleave": repeat_interleave,
    "permute": permute,
    "movedim": movedim,
}
