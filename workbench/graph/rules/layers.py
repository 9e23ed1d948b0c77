"""Operators with weights: convolutions, linear layers, norms and embeddings."""

from __future__ import annotations

import numpy as np

from workbench.graph.flow import Call, Dims, Rule, positions
from workbench.graph.labels import POSITION, Array


def convolution(call: Call) -> Dims:
    """Carry channels through a convolution; weight [out, in / groups, *kernel]."""
    source, weight, bias = call.dims("input"), call.dims("weight"), call.optional("bias")
    rank, groups = len(weight) - 2, int(call.arguments["groups"])
    channels, out = source[-rank - 1], weight[0]
    _fix_kernel(call, weight)
    call.produces("weight", 0)
    if groups > 1 and len(weight[1]) == 1:
        out = call.unify(out, np.repeat(channels, len(out) // groups))
    else:
        call.unify(call.tie(channels, groups), weight[1])
        out = np.tile(call.tie(out, groups), groups)
        call.consumes("weight", 1)
    return _convolved(call, source, _with_bias(call, out, bias), rank)


def transposed(call: Call) -> Dims:
    """Carry channels through a transposed convolution; weight [in, out / groups, *kernel]."""
    source, weight, bias = call.dims("input"), call.dims("weight"), call.optional("bias")
    rank, groups = len(weight) - 2, int(call.arguments["groups"])
    channels = source[-rank - 1]
    _fix_kernel(call, weight)
    if groups > 1 and len(weight[0]) == groups:
        out = np.repeat(call.unify(weight[0], channels), len(weight[1]))
        call.fix(weight[1], "outputs of one depthwise channel")
        call.produces("weight", 0)
    else:
        call.unify(channels, weight[0])
        call.tie(channels, groups)
        out = np.tile(weight[1], groups)
        call.consumes("weight", 0)
        call.produces("weight", 1)
    return _convolved(call, source, _with_bias(call, out, bias), rank)


def _fix_kernel(call: Call, weight: Dims) -> None:
    for labels in weight[2:]:
        call.fix(labels, "the extent of a kernel")


def _with_bias(call: Call, out: Array, bias: Dims | None) -> Array:
    return out if bias is None else call.unify(out, bias[0])


def _convolved(call: Call, source: Dims, out: Array, rank: int) -> Dims:
    for labels in source[-rank:]:
        call.fix(labels, "swept by a kernel")
    batch = tuple(positions(len(labels)) for labels in source[: -rank - 1])
    return (*batch, out, *map(positions, call.shapes[0][-rank:]))


def linear(call: Call) -> Dims:
    """Carry channels through a linear layer; weight [out, in], channels last."""
    source, weight = call.dims("input"), call.dims("weight")
    call.unify(source[-1], weight[1])
    call.consumes("weight", 1)
    call.produces("weight", 0)
    places = tuple(np.where(labels < 0, POSITION, labels) for labels in source[:-1])
    return (*places, _with_bias(call, weight[0], call.optional("bias")))


def embedding(call: Call) -> Dims:
    """Carry features out of a table, [rows, features]."""
    table, rows = call.dims("weight"), call.dims("indices")
    call.fix(table[0], "rows chosen by an index")
    return (*(positions(len(labels)) for labels in rows), table[1])


def channel_norm(call: Call) -> Dims:
    """Batch and instance norm: every channel for itself, channels in dimension 1."""
    source = call.dims("input")
    channels = source[1]
    for name in ("weight", "bias", "running_mean", "running_var"):
        vector = call.optional(name)
        if vector is not None:
            channels = call.unify(channels, vector[0])
    return (source[0], channels, *source[2:])


def layer_norm(call: Call) -> Dims:
    """Layer and RMS norm: statistics over the last dimensions."""
    source = list(call.dims("input"))
    first = len(source) - len(call.arguments["normalized_shape"])
    for name in ("weight", "bias"):
        affine = call.optional(name)
        if affine is not None:
            source[first:] = [call.unify(one, other) for one, other in zip(source[first:], affine, strict=True)]
    for labels in source[first:]:
        call.labels.inexact(labels)
    return tuple(source)


def group_norm(call: Call) -> Dims:
    """Group norm: statistics over groups of channels that must stay equally large."""
    source = call.dims("input")
    groups = int(call.arguments["num_groups"])
    channels = np.tile(call.tie(source[1], groups), groups)
    for name in ("weight", "bias"):
        affine = call.optional(name)
        if affine is not None:
            channels = call.unify(channels, affine[0])
    call.labels.inexact(channels)
    return (source[0], channels, *source[2:])


RULES: dict[str, Rule] = {
    **{f"conv{n}d": convolution for n in (1, 2, 3)},
    **{f"conv_transpose{n}d": transposed for n in (1, 2, 3)},
    "linear": linear,
    "embedding": embedding,
    "batch_norm": channel_norm,
    "instance_norm": channel_norm,
    "layer_norm": layer_norm,
    "rms_norm": layer_norm,
    "group_norm": group_norm,
}
