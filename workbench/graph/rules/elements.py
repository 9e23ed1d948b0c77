"""Operators that keep channels apart (element by element, pooling) and those that mix or hide them."""

from __future__ import annotations

from functools import reduce

import numpy as np

from workbench.graph.flow import CONSTANT, Call, Dims, Labelled, Rule, positions
from workbench.graph.labels import POSITION, Array


def _words(text: str) -> list[str]:
    return text.split()


POINTWISE = _words("""
    abs acos add addcdiv addcmul alias alpha_dropout asin atan atan2 bernoulli bitwise_and bitwise_not
    bitwise_or ceil celu clamp clamp_max clamp_min clone contiguous copysign cos cosh detach div dropout
    elu eq erf erfc exp exp2 expm1 fake_quantize_per_tensor_affine feature_alpha_dropout feature_dropout
    fill floor floor_divide fmax fmin fmod ge gelu gt hardshrink hardsigmoid hardswish hardtanh isfinite
    isinf isnan le leaky_relu lerp lift_fresh lift_fresh_copy log log10 log1p log2 log_sigmoid
    logical_and logical_not logical_or logical_xor lt masked_fill maximum minimum mish mul multiply
    nan_to_num ne neg ones_like pow rand_like randn_like reciprocal relu relu6 remainder round rrelu
    rsqrt rsub selu sigmoid sign silu sin sinh softplus softshrink sqrt square sub tan tanh tanhshrink
    threshold to true_divide trunc where xlogy zeros_like full_like
""")

# Over how many of the last dimensions an operator works.
POOLS = {
    **{f"{kind}_pool{n}d": n for kind in ("max", "avg", "lp", "adaptive_avg", "adaptive_max") for n in (1, 2, 3)},
    **{f"max_pool{n}d_with_indices": n for n in (1, 2, 3)},
    **{f"upsample_{kind}1d": 1 for kind in ("nearest", "linear", "_nearest_exact")},
    **{f"upsample_{kind}2d": 2 for kind in ("nearest", "bilinear", "bicubic")},
    **{f"upsample_{kind}3d": 3 for kind in ("nearest", "trilinear")},
    **{f"_upsample_{kind}": 2 for kind in ("nearest_exact2d", "bilinear2d_aa", "bicubic2d_aa")},
    **{f"{kind}_pad{n}d": n for kind in ("reflection", "replication") for n in (1, 2, 3)},
}

REDUCTIONS = _words("""
    all amax amin any argmax argmin count_nonzero linalg_vector_norm logsumexp max mean median min
    nansum norm prod std std_mean sum var var_mean
""")

# Zeros add nothing to these, so what is left of them is right whatever was removed.
SUMS = ("sum", "nansum", "linalg_vector_norm", "norm", "count_nonzero")

# These keep the shape, but what stands at one index depends on the others.
ALONG = _words("""
    softmax log_softmax cumsum cumprod sort roll flip
""")

PRODUCTS = _words("""
    baddbmm dot
""")
# Of two matrices each, or of queries, keys and values, with any number of dimensions before, taken one by one.
BATCHED = _words("""
    scaled_dot_product_attention matmul bmm linalg_matmul
""")

# What is filled with one value is as long as it has to be; what counts or is drawn is not.
FILLED = _words("""
    zeros ones full empty new_zeros new_ones new_full new_empty scalar_tensor
""")
CONSTANTS = _words("""
    arange eye linspace rand randn
""")


def pointwise(call: Call) -> Dims:
    """Broadcast: aligned channels are one channel."""
    tensors = [value.dims for value in call.tensors()]
    rank = max(len(dims) for dims in tensors)
    return tuple(_broadcast(call, [dims[axis] for dims in tensors if len(dims) >= -axis]) for axis in range(-rank, 0))


def _broadcast(call: Call, columns: list[Array]) -> Array:
    size = max((len(column) for column in columns if len(column) != 1), default=1)
    if size != 1:
        for column in columns:
            if len(column) == 1:
                call.fix(column, "one channel that meets all others")
    return reduce(call.unify, [column for column in columns if len(column) == size])


def pool(call: Call) -> list[Dims]:
    source = call.dims("input" if "input" in call.arguments else "self")
    count = POOLS[call.op]
    for labels in source[-count:]:
        call.fix(labels, "pooled together with other channels")
    return [(*source[:-count], *map(positions, shape[-count:])) for shape in call.shapes]


def reduction(call: Call) -> list[Dims]:
    source = call.dims("self" if "self" in call.arguments else "x")
    axes = axes_of(call.arguments.get("dim"), len(source))
    for axis in axes:
        if call.normalises:
            call.labels.inexact(source[axis])
        elif call.op not in SUMS:
            call.fix(source[axis], f"combined with other channels by '{call.op}'")
    remaining = tuple(positions(1) if axis in axes else labels for axis, labels in enumerate(source))
    if not call.arguments.get("keepdim"):
        remaining = tuple(labels for axis, labels in enumerate(remaining) if axis not in axes)
    return [remaining] * len(call.shapes)


def along(call: Call) -> list[Dims]:
    source = call.dims("self")
    dims = call.arguments.get("dim", call.arguments.get("dims"))
    for axis in axes_of(dims, len(source)):
        call.fix(source[axis], f"combined with other channels by '{call.op}'")
    return [source] * len(call.shapes)


def axes_of(dim: int | list[int] | None, rank: int) -> set[int]:
    """Return the dimensions meant, counted from the front; none given means all."""
    if dim is None or dim == []:
        return set(range(rank))
    return {axis % rank for axis in ([dim] if isinstance(dim, int) else dim)}


def matrix(call: Call) -> list[Dims]:
    """Carry channels through the product with a parameter, [in, out]; any other product hides them."""
    left, right = (call.arguments[name] for name in (("mat1", "mat2") if call.op == "addmm" else ("self", "mat2")))
    if right.parameter is None or len(right.dims) != 2:
        return product(call)
    return [_turned_linear(call, left.dims, right, call.optional("self") if call.op == "addmm" else None)]


def _turned_linear(call: Call, source: Dims, weight: Labelled, bias: Dims | None) -> Dims:
    call.unify(source[-1], weight.dims[0])
    call.holds(weight, producer=1, consumer=0)
    out = weight.dims[1] if bias is None else call.unify(weight.dims[1], bias[-1])
    return (*(np.where(labels < 0, POSITION, labels) for labels in source[:-1]), out)


def alike(call: Call) -> Dims:
    """Another tensor gives the type, and none of its channels."""
    return call.dims("self")


def product(call: Call) -> list[Dims]:
    return _hide(call, f"used in a matrix product ('{call.op}')")


def batched(call: Call) -> list[Dims]:
    """Follow what stands before the matrices, such as attention heads; what is multiplied is fixed."""
    tensors = [value.dims for value in call.tensors()]
    why = f"used in a matrix product ('{call.op}')"
    if call.op == "matmul" and (right := call.tensors()[1]).parameter and len(right.dims) == 2 and len(tensors[0]) > 1:
        return [_turned_linear(call, tensors[0], right, None)]
    if min(map(len, tensors)) < 3:
        return _hide(call, why)
    for dims in tensors:
        for labels in dims[-2:]:
            call.fix(labels, why)
    before = [dims[:-2] for dims in tensors]
    rank = max(map(len, before))
    shared = tuple(_broadcast(call, [dims[axis] for dims in before if len(dims) >= -axis]) for axis in range(-rank, 0))
    for labels in shared:
        call.labels.heads(labels)
    places = all((labels == POSITION).all() for dims in tensors for labels in dims[-2:])
    last = tuple(positions(n) if places else call.constant(why, n) for n in call.shapes[0][-2:])
    return [(*shared, *last)]


def einsum(call: Call) -> list[Dims]:
    """Channels of one letter are one channel, where a parameter is multiplied; of activations alone they are hidden."""
    entering, _, leaving = str(call.arguments["equation"]).replace(" ", "").partition("->")
    letters, operands = entering.split(","), call.tensors()
    by_letter: dict[str, Array] = {}
    if "." in entering or not leaving or not any(value.parameter for value in operands):
        return product(call)
    for names, value in zip(letters, operands, strict=True):
        for letter, labels in zip(names, value.dims, strict=True):
            by_letter[letter] = call.unify(by_letter[letter], labels) if letter in by_letter else labels
    for number, value in enumerate(operands):
        others = "".join(letters[:number] + letters[number + 1 :])
        for dim, letter in enumerate(letters[number]):
            produced, read = letter in leaving and letter not in others, letter not in leaving and letter in others
            call.holds(value, producer=dim if produced else None, consumer=dim if read else None)
    return [tuple(by_letter[letter] for letter in leaving)]


def constant(call: Call) -> list[Dims]:
    return [tuple(call.constant(CONSTANT, size) for size in shape) for shape in call.shapes]


def filled(call: Call) -> list[Dims]:
    """A size that was written down is that of what the tensor meets, whose channels then go with it."""
    return [tuple(call.labels.fresh(size) if size > 1 else positions(size) for size in shape) for shape in call.shapes]


def opaque(call: Call) -> list[Dims]:
    """Fix everything that goes in and comes out."""
    return _hide(call, f"operator '{call.op}' is not understood")


def _hide(call: Call, why: str) -> list[Dims]:
    for value in call.tensors():
        for labels in value.dims:
            call.fix(labels, why)
    return [tuple(call.constant(why, size) for size in shape) for shape in call.shapes]


def prelu(call: Call) -> Dims:
    source, weight = call.dims("self"), call.dims("weight")[0]
    if len(weight) == 1:
        call.fix(weight, "one slope for all channels")
        return source
    return (source[0], call.unify(source[1], weight), *source[2:])


def glu(call: Call) -> Dims:
    source = call.dims("self")
    axis = int(call.arguments["dim"]) % len(source)
    half = call.tie(source[axis], 2)
    return (*source[:axis], half, *source[axis + 1 :])


RULES: dict[str, Rule] = {
    **dict.fromkeys(POINTWISE, pointwise),
    **dict.fromkeys(POOLS, pool),
    **dict.fromkeys(REDUCTIONS, reduction),
    **dict.fromkeys(ALONG, along),
    **dict.fromkeys(PRODUCTS, product),
    "einsum": einsum,
    **dict.fromkeys(["mm", "addmm"], matrix),
    "type_as": alike,
    **dict.fromkeys(BATCHED, batched),
    **dict.fromkeys(CONSTANTS, constant),
    **dict.fromkeys(FILLED, filled),
    "glu": glu,
    "prelu": prelu,
}
