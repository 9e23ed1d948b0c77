"""Arguments of a call, held against what its operator takes: kinds by its schema, and ranges beyond them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import torch

from workbench.errors import WorkbenchError
from workbench.graph.reader.fields import Ref
from workbench.graph.reader.operators import OPERANDS, Operator
from workbench.graph.reader.records import Call

Kinds = Mapping[str, str]  # of every value by name: "tensor" or "number"
TEXTS = {
    "approximate": ("none", "tanh"),
    "indexing": ("ij", "xy"),
    "mode": ("constant", "reflect", "replicate", "circular"),
    "norm": ("backward", "ortho", "forward"),
    "padding": ("same", "valid"),
    "reduce": ("sum", "prod", "mean", "amax", "amin", "add", "multiply"),
    "rounding_mode": ("trunc", "floor"),
    "side": ("left", "right"),
}
EQUATION = re.compile(r"(?=.{1,200}\Z)[A-Za-z .]*(?:,[A-Za-z .]*)*(?:->[A-Za-z .]*)?", re.ASCII)
# What kernels divide by, or loop over.
POSITIVE = frozenset(
    ("stride", "kernel_size", "dilation", "groups", "num_groups", "upscale_factor", "downscale_factor")
)
NOT_NEGATIVE = frozenset(("padding", "output_padding", "num_layers", "k", "num_classes"))
MOST = 1 << 40
FACTOR = 4096.0  # by which pictures are made larger or smaller


def bound(call: Call, operator: Operator, kinds: Kinds) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return positional and named arguments of a call, with `Ref`s in place of values.

    Raises:
        WorkbenchError: An argument is unknown, given twice, missing, or of a kind or range that the operator
            does not take.
    """
    values: dict[str, Any] = {}
    for name, value, _ in call.arguments:
        if name not in operator.arguments or name in values:
            raise _error(call, name, "is not one of its arguments" if name not in values else "is given twice")
        kind, _ = operator.arguments[name]
        if not _takes(kind, value, kinds) or not _in_range(name, value):
            raise _error(call, name, f"is {_shown(value)}")
        values[name] = value
    first = next(iter(operator.arguments))
    if operator.pure and not (isinstance(values.get(first), Ref) and kinds[values[first].name] == "tensor"):
        raise _error(call, first, "is a number")
    _check_effects(call, values)
    schema = operator.schema.arguments
    positional: list[Any] = []
    for argument in schema:
        if argument.kwarg_only:
            continue
        if argument.name in values:
            positional.append(values[argument.name])
        elif argument.has_default_value():
            positional.append(argument.default_value)
        else:
            raise _error(call, argument.name, "is missing")
    # What was left out at the end stays out, so that a graph read back is the graph that was written.
    while positional and schema[len(positional) - 1].name not in values:
        positional.pop()
    by_name = [argument.name for argument in schema if argument.kwarg_only]
    named = {name: values[name] for name in by_name if name in values}

    return tuple(positional), named


def operands(call: Call, kinds: Kinds) -> tuple[Any, ...]:
    """Return the operands of arithmetic on sizes: numbers, and values that are numbers.

    Raises:
        WorkbenchError: There are too many or too few, or one is something else.
    """
    values = tuple(value for _, value, _ in call.arguments)
    if len(values) != OPERANDS[call.target]:
        raise WorkbenchError(f"the graph calls {call.target} with {len(values)} operands")
    for name, value, _ in call.arguments:
        if not _takes("number", value, kinds):
            raise _error(call, name, f"is {_shown(value)}")
    return values


def _error(call: Call, name: str, what: str) -> WorkbenchError:
    return WorkbenchError(f"the graph calls {call.target}, whose {name[:40]!r} {what}, which it does not take")


def _shown(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."


def _takes(kind: str, value: Any, kinds: Kinds) -> bool:
    """Return whether an argument of this kind of a schema takes a value."""
    if kind.startswith("Optional["):
        return value is None or _takes(kind[9:-1], value, kinds)
    if kind.startswith("List["):
        inner = kind[5:-1]
        if isinstance(value, list):
            return all(_takes(inner, element, kinds) for element in value)
        return inner == "int" and _takes("int", value, kinds)  # one number stands for all dimensions
    if isinstance(value, Ref):
        # A number stands for a tensor of one value, as in x * 2.
        return kind in REFERABLE and (kind == "Tensor" or kinds.get(value.name) == "number")
    return kind in PLAIN and PLAIN[kind](value)


REFERABLE = frozenset(("Tensor", "int", "float", "bool", "number"))
PLAIN: Mapping[str, Callable[[Any], bool]] = {
    "Tensor": lambda value: type(value) in (int, float, bool),
    "int": lambda value: type(value) is int,
    "float": lambda value: type(value) in (int, float),
    "bool": lambda value: type(value) is bool,
    "number": lambda value: type(value) in (int, float, bool),
    "str": lambda value: type(value) is str,
    "ScalarType": lambda value: isinstance(value, torch.dtype),
    "MemoryFormat": lambda value: isinstance(value, torch.memory_format),
    "Layout": lambda value: isinstance(value, torch.layout),
    "Device": lambda value: isinstance(value, torch.device),
}


def _in_range(name: str, value: Any) -> bool:
    """Return whether a value is one that its argument's name allows."""
    if isinstance(value, str):
        return value in TEXTS[name] if name in TEXTS else name == "equation" and EQUATION.fullmatch(value) is not None
    if name == "pin_memory":
        return not value
    numbers = value if isinstance(value, list) else [value]
    if name.startswith("scale") and name != "scale":
        return all(1 / FACTOR <= number <= FACTOR for number in numbers if type(number) in (int, float))
    if name == "divisor_override":
        return bool(value != 0)
    low = 1 if name in POSITIVE else 0 if name in NOT_NEGATIVE else None
    if low is None:
        return True
    return all(low <= number <= MOST for number in numbers if type(number) is int)


def _check_effects(call: Call, values: Mapping[str, Any]) -> None:
    """Refuse forms that draw random numbers, or write into running statistics."""
    training = values.get("train") or values.get("training") or values.get("use_input_stats")
    statistics = values.get("running_mean") is not None or values.get("running_var") is not None
    norm = "batch_norm" in call.target or "instance_norm" in call.target
    if training and (statistics or not norm):
        raise WorkbenchError(f"the graph calls {call.target} as in training: it is random, or changes the model")
    if values.get("dropout_p"):
        raise WorkbenchError(f"the graph calls {call.target} with dropout, which is random")
    if values.get("generator") is not None:
        raise WorkbenchError(f"the graph calls {call.target} with a generator of random numbers")
