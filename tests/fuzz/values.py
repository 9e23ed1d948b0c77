"""Values that readers trip over, for all kinds of input."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

TEXTS = (
    "", " ", ".", "..", "a.b.c", "\x00", "\n", "\x1b[2J", "a\u202eb", "x" * 5000, "a." * 400, "'", '"',
    "\\", "{}", "{0.__class__}", "%s",
    "__class__", "__init__", "_modules", "_parameters", "forward", "training", "self", "weight", "None", "True",
    "lambda",
    "import os", "__import__('os').system('true')", 'a"]; import os #', "x=open('ran','w'), y",
    '"""]):\n    z = (([0', "ﬁ", "ª",
    "evil_mod:E", "os.system", "builtins.eval", "torch.ops.aten.from_file.default", "torch.ops.aten.save.default",
    "torch.ops.aten.set_.source_Tensor", "torch.ops.aten.resize_.default", "torch.ops.aten.as_strided.default",
    "torch.ops.aten.random_.default", "torch.ops.aten.empty_strided.default", "torch.ops.aten.full.default",
    "torch.ops.aten.ones.default", "torch.ops.aten.arange.start_step", "torch.ops.aten.repeat.default",
    "torch.ops.aten.expand.default", "torch.ops.aten.linspace.default", "torch.ops.aten.eye.default",
    "torch.ops.aten.unbind.int",
    "torch.ops.aten.split.Tensor", "torch.ops.aten.add_.Tensor", "torch.ops.aten.copy_.default",
    "torch.ops.aten.zero_.default",
    "torch.ops.aten.kron.default", "torch.ops.aten.outer.default", "torch.ops.aten.one_hot.default",
    "torch.ops.aten.lstm.input",
    "torch.ops.aten.einsum.default", "torch.ops.aten.pad.default", "torch.ops.aten.upsample_nearest2d.vec",
    "torch.ops.aten.tensor_split.sections", "torch.ops.aten.triu_indices.default", "torch.ops.prims.iota.default",
    "_operator.mul", "_operator.pow", "_operator.lshift", "_operator.getitem", "torch.sym_max", "torch.load",
    "math.factorial",
    "torch.ops.higher_order.wrap_with_set_grad_enabled", "torch.ops.aten.normal_.default",
    "torch.ops.aten.bernoulli.default",
    "Symbol('s0')", "Symbol('s0', positive=True, integer=True)", "s0**s0**s0", "2**99999999", "(" * 5000, "-" * 900,
    "s0//0", "Pow(9, Pow(9, 9))",
    "__import__('os')", "Function('f')(s0)", "Infinity", "-Infinity", "NaN", "F8_E4M3", "F64", "BOOL", "uniform",
    "codebook", "gaps", "index",
)  # fmt: skip
NUMBERS = (
    0, 1, -1, 2, 3, 7, 8, 16, 17, 64, 127, 255, 256, 1000, 65536, 2**20, 2**30, 2**31 - 1, 2**31, 2**32, 2**40,
    2**62, 2**63 - 1, 2**63, 2**64,
    -(2**31), -(2**63), -(2**63) - 1, 10**19, 10**400, 0.0, -0.0, 0.5, 1e-320, 1e300, float("inf"), float("-inf"),
    float("nan"),
)  # fmt: skip


def anything(rng: random.Random, depth: int = 0) -> Any:
    """Return a value of JSON, most often one that means trouble."""
    kind = rng.randrange(10 if depth < 3 else 7)
    if kind < 3:
        return rng.choice(NUMBERS)
    if kind < 6:
        return rng.choice(TEXTS)
    if kind == 6:
        return rng.choice((None, True, False))
    if kind == 7:
        return [anything(rng, depth + 1) for _ in range(rng.randrange(4))]
    if kind == 8:
        return {rng.choice(TEXTS): anything(rng, depth + 1) for _ in range(rng.randrange(3))}
    made: Any = anything(rng, depth + 1)
    for _ in range(rng.choice((1, 5, 100, 900))):
        made = [made] if rng.random() < 0.5 else {"a": made}
    return made


def text_of(value: Any) -> str:
    """Return JSON, of a value that is too deep for that some other text that is too deep."""
    try:
        return json.dumps(value)
    except RecursionError:
        return "[" * 100_000


def copied(value: Any) -> Any:
    """Return a copy, of a value that is too deep for that nothing."""
    try:
        return copy.deepcopy(value)
    except RecursionError:
        return None


def places(value: Any) -> list[tuple[Any, Any]]:
    """Return every (container, key) of a JSON value."""
    found: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting:
        part = waiting.pop()
        items = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
        for key, inner in items:
            found.append((part, key))
            waiting.append(inner)
    return found


def surgery(rng: random.Random, value: Any) -> str:
    """Change a JSON value at one place, in place, and return how."""
    every = places(value)
    if not every:
        return "nothing"
    part, key = rng.choice(every)
    how = rng.randrange(6)
    if how == 0:
        part.pop(key)
    elif how == 1 and isinstance(part, list):
        part.insert(key, copied(part[rng.randrange(len(part))]))
    elif how == 2:
        other, name = rng.choice(every)
        there = name in other if isinstance(other, dict) else name < len(other)
        part[key] = copied(other[name]) if there else None
    elif how == 3 and isinstance(part, dict):
        part[rng.choice(TEXTS)] = part.pop(key)
    elif how == 4 and isinstance(part, list):
        rng.shuffle(part)
    else:
        part[key] = anything(rng)
    return f"surgery {how} at {key!r:.40}"


def damaged(rng: random.Random, data: bytes) -> bytes:
    """Return bytes with some turned, cut out, doubled or made equal."""
    made = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8))):
        if not made:
            break
        at, length = rng.randrange(len(made)), rng.choice((1, 2, 8, 64))
        how = rng.randrange(5)
        if how == 0:
            made[at] ^= 1 << rng.randrange(8)
        elif how == 1:
            del made[at : at + length]
        elif how == 2:
            made[at:at] = made[at : at + length]
        elif how == 3:
            made[at : at + length] = bytes([rng.choice((0, 255, 127))]) * length
        else:
            del made[at:]
    return bytes(made)
