"""What torch knows of each operator on the list, and arithmetic on sizes."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

from workbench.errors import WorkbenchError
from workbench.graph.reader.catalogue import CONSTANTS, FILLED, MAY_ALIAS, PURE, PURE_FORMS, WRITES
from workbench.graph.reader.guarded import GUARDED

LARGEST_SIZE = 1 << 63


def _bounded(name: str, compute: Callable[..., Any]) -> Callable[..., Any]:
    """Return arithmetic on sizes that refuses what no size is: Python's numbers would grow without end."""

    def bounded(*numbers: Any) -> Any:
        try:
            size = compute(*numbers)
        except (ArithmeticError, TypeError, ValueError) as error:
            raise WorkbenchError(f"the graph computes a size that there is not ({name}: {error})") from error
        # While a graph is traced a size is a symbol, which is neither.
        if isinstance(size, int | float) and not abs(size) < LARGEST_SIZE:
            raise WorkbenchError(f"the graph computes a size of more than 64 bits ({name})")
        return size

    bounded.__name__ = name.rpartition(".")[2]
    return bounded


def _power(base: Any, exponent: Any) -> Any:
    if not isinstance(exponent, int) or not 0 <= exponent <= 8:
        raise ValueError("an exponent is 0 to 8")
    return base**exponent


_ARITHMETIC: Mapping[str, Callable[..., Any]] = {
    "_operator.add": operator.add, "_operator.sub": operator.sub, "_operator.mul": operator.mul,
    "_operator.floordiv": operator.floordiv, "_operator.truediv": operator.truediv, "_operator.mod": operator.mod,
    "_operator.pow": _power, "_operator.neg": operator.neg, "_operator.pos": operator.pos, "_operator.eq": operator.eq,
    "_operator.ne": operator.ne, "_operator.lt": operator.lt, "_operator.le": operator.le, "_operator.gt": operator.gt,
    "_operator.ge": operator.ge, "_operator.and_": operator.and_, "_operator.or_": operator.or_,
    "math.trunc": math.trunc, "torch.sym_int": torch.sym_int, "torch.sym_float": torch.sym_float,
    "torch.sym_max": torch.sym_max, "torch.sym_min": torch.sym_min, "torch.sym_not": torch.sym_not,
    "torch.sym_ite": torch.sym_ite, "torch.sym_sqrt": getattr(torch, "_sym_sqrt", math.sqrt),
}  # fmt: skip
ARITHMETIC: Mapping[str, Callable[..., Any]] = {name: _bounded(name, compute) for name, compute in _ARITHMETIC.items()}
OPERANDS = {
    name: 1 if name.rpartition(".")[2] in ("neg", "pos", "trunc", "sym_int", "sym_float", "sym_not", "sym_sqrt")
    else 3 if name == "torch.sym_ite" else 2
    for name in ARITHMETIC
}  # fmt: skip


@dataclass(frozen=True)
class Operator:
    """An operator of the list.

    Attributes:
        name: In full, as the file says it: "torch.ops.aten.add.Tensor".
        call: What computes it.
        schema: Torch's, of what computes it.
        arguments: Names of its arguments, and the kind and whether it must be given by name, of each.
        aliases: Whether a result may lie in the memory of an argument.
        constant: Whether it makes a tensor of nothing but numbers.
        pure: The name of the form that writes nothing, for one that writes into its first argument.
    """

    name: str
    call: Any
    schema: Any
    arguments: Mapping[str, tuple[str, bool]]
    aliases: bool = False
    constant: bool = False
    pure: str = ""


@cache
def operators() -> Mapping[str, Operator]:
    """Return the list by full name. An overload that this release of torch has not is not on it."""
    listed: dict[str, Operator] = {}
    for name in (*PURE.split(), *WRITES.split()):
        call = _overload(name)
        if call is not None:
            listed[f"torch.ops.aten.{name}"] = _described(name, call)
    return listed


def _overload(name: str) -> Any:
    base, _, overload = name.partition(".")
    return getattr(getattr(torch.ops.aten, base, None), overload, None)


def _described(name: str, call: Any) -> Operator:
    writes = name in WRITES.split()
    schema = call._schema
    # The list and torch must agree on what writes. `detach_` only forgets gradients.
    if schema.is_mutable is not writes and name != "detach_.default":
        raise RuntimeError(f"{name} is listed as {'writing' if writes else 'pure'}, and its schema says otherwise")
    base, _, overload = name.partition(".")
    runs = _overload(FILLED[name]) if name in FILLED else call
    return Operator(
        f"torch.ops.aten.{name}",
        GUARDED.get(name, runs),
        runs._schema,
        {argument.name: (str(argument.real_type), argument.kwarg_only) for argument in schema.arguments},
        base in MAY_ALIAS.split() or any(returned.alias_info is not None for returned in schema.returns),
        name in CONSTANTS.split(),
        f"torch.ops.aten.{PURE_FORMS.get(name, f'{base[:-1]}.{overload}')}" if writes else "",
    )
