"""Fields of a graph's text: each is of one kind, within its range, or the text is refused."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import torch

from workbench.errors import WorkbenchError
from workbench.graph.reader.limits import LIST

# Numbers of the file format.
DTYPES = {
    1: torch.uint8, 2: torch.int8, 3: torch.int16, 4: torch.int32, 5: torch.int64, 6: torch.float16, 7: torch.float32,
    8: torch.float64, 12: torch.bool, 13: torch.bfloat16, 28: torch.uint16,
}  # fmt: skip
MEMORY_FORMATS = {
    1: torch.contiguous_format, 2: torch.channels_last, 3: torch.channels_last_3d, 4: torch.preserve_format,
}  # fmt: skip
STRIDED = 7
WHOLE = 1 << 63  # one more than the largest whole number
FLOATS = {"Infinity": math.inf, "-Infinity": -math.inf}
T = TypeVar("T")


@dataclass(frozen=True)
class Ref:
    """A value that another node, a stored tensor or an input gives, by its name in the file."""

    name: str


def refuse(what: object) -> NoReturn:
    shown = repr(what)
    raise WorkbenchError(f"the graph holds {shown if len(shown) <= 80 else shown[:77] + '...'}, which it may not")


def typed(value: Any, kind: type[T], what: str) -> T:
    # True is a whole number to Python, and none here.
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        shown = repr(value)[:80]
        raise WorkbenchError(f"the graph has {shown} where {what} belongs")
    return value


def field(record: Mapping[str, Any], name: str, kind: type[T], default: T | None = None) -> T:
    if name not in record and default is not None:
        return default
    if name not in record:
        raise WorkbenchError(f"the graph lacks {name[:80]!r}")
    return typed(record[name], kind, f"{name[:80]!r} ({kind.__name__})")


def many(values: list[Any], read: Callable[[Any], T], most: int) -> tuple[T, ...]:
    if len(values) > most:
        raise WorkbenchError(f"the graph has a list of {len(values)} entries where {most} may be")
    return tuple(read(value) for value in values)


def one(record: Any) -> tuple[str, Any]:
    """Return the kind and the value of a record that holds exactly one."""
    if not isinstance(record, dict) or len(record) != 1:
        refuse(record)
    return next(iter(record.items()))


def whole(value: Any) -> int:
    number = typed(value, int, "a whole number")
    if not -WHOLE <= number < WHOLE:
        raise WorkbenchError("the graph holds a whole number of more than 64 bits")
    return number


def _number(value: Any) -> float:
    if isinstance(value, str):
        return FLOATS[value] if value in FLOATS else refuse(value)
    if isinstance(value, int):
        return float(whole(value))
    return typed(value, float, "a number")


def name_of(record: Any) -> Ref:
    return Ref(field(typed(record, dict, "a value's name"), "name", str))


def _symbolic(kind: str, read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a reader of a number that is either plain or computed by a node."""

    def reader(record: Any) -> Any:
        form, value = one(record)
        if form == "as_name":
            return Ref(typed(value, str, "a value's name"))
        return read(value) if form == kind else refuse(record)

    return reader


def _flag(value: Any) -> bool:
    return typed(value, bool, "true or false")


def _nothing(value: Any) -> None:
    _flag(value)


def _text(value: Any) -> str:
    return typed(value, str, "a text")


def _of(table: Mapping[int, T], what: str) -> Callable[[Any], T]:
    def reader(value: Any) -> T:
        number = typed(value, int, what)
        if number not in table:
            raise WorkbenchError(f"the graph asks for {what} {number}, which is not one that a program may use")
        return table[number]

    return reader


def _device(record: Any) -> torch.device:
    if field(typed(record, dict, "a device"), "type", str) != "cpu":
        raise WorkbenchError("the graph asks for a device other than the processor; export it from a model on the CPU")
    return torch.device("cpu")


def _optional_tensor(record: Any) -> Ref | None:
    kind, value = one(record)
    if kind == "as_tensor":
        return name_of(value)
    return None if kind == "as_none" else refuse(record)


def _listed(read: Callable[[Any], Any]) -> Callable[[Any], list[Any]]:
    return lambda values: list(many(typed(values, list, "a list"), read, LIST))


_SYM_INT, _SYM_FLOAT, _SYM_BOOL = (
    _symbolic("as_int", whole),
    _symbolic("as_float", _number),
    _symbolic("as_bool", _flag),
)
DTYPE = _of(DTYPES, "the type of number")
ARGUMENTS: Mapping[str, Callable[[Any], Any]] = {
    "as_none": _nothing,
    "as_tensor": name_of,
    "as_tensors": _listed(name_of),
    "as_optional_tensor": _optional_tensor,
    "as_optional_tensors": _listed(_optional_tensor),
    "as_int": whole,
    "as_ints": _listed(whole),
    "as_float": _number,
    "as_floats": _listed(_number),
    "as_bool": _flag,
    "as_bools": _listed(_flag),
    "as_string": _text,
    "as_sym_int": _SYM_INT,
    "as_sym_ints": _listed(_SYM_INT),
    "as_sym_float": _SYM_FLOAT,
    "as_sym_floats": _listed(_SYM_FLOAT),
    "as_sym_bool": _SYM_BOOL,
    "as_sym_bools": _listed(_SYM_BOOL),
    "as_scalar_type": DTYPE,
    "as_memory_format": _of(MEMORY_FORMATS, "the memory format"),
    "as_layout": _of({STRIDED: torch.strided}, "the layout"),
    "as_device": _device,
}
