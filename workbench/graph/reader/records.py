"""The text of a graph as plain records: every field is looked at once, here, and anything else stays in the file.

The format is what `torch.export` calls its serialised program, of which only the graph and its signature are read:
no tree specs, no argument names, no guards, no metadata.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.graph.reader.fields import (
    ARGUMENTS,
    DTYPE,
    STRIDED,
    Ref,
    field,
    many,
    name_of,
    one,
    refuse,
    typed,
    whole,
)
from workbench.graph.reader.limits import BYTES_PER_VALUE, DIMENSIONS, INPUTS, LIST, NODES, STORED_BYTES
from workbench.graph.reader.sizes import check_size
from workbench.task.feeding import Feed, read_feeds


@dataclass(frozen=True)
class Call:
    """One node.

    Attributes:
        target: Name of the operator, as the file says it.
        arguments: Arguments in order, each (name, value, whether it is passed by name).
        outputs: Names of what comes out: one value, or a tuple of them where the operator returns several.
    """

    target: str
    arguments: tuple[tuple[str, Any, bool], ...]
    outputs: str | tuple[str, ...]


@dataclass(frozen=True)
class TensorFacts:
    """Type and sizes of a tensor; a size that may change has the size of the example."""

    dtype: torch.dtype
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Stored:
    """A tensor that the graph reads: its value's name in the graph, its own name, and what it is.

    A constant lies in the text; parameters and other buffers lie beside it.
    """

    value: str
    name: str
    parameter: bool
    constant: bool = False


@dataclass(frozen=True)
class Program:
    """All that is read of a text.

    Attributes:
        stored: Parameters and buffers.
        inputs: Names of the values that a caller gives, in order.
        calls: Nodes, each after what it reads.
        outputs: What is handed out, `Ref`s and plain numbers.
        tensors: Facts of stored tensors and inputs by the value's name.
        aliases: Names of tied tensors, and the name under which the file holds them.
        constants: Tensors that the text itself holds, by their names.
        feeds: What is done to a task's inputs before the model gets them.
    """

    stored: tuple[Stored, ...]
    inputs: tuple[str, ...]
    calls: tuple[Call, ...]
    outputs: tuple[Any, ...]
    tensors: Mapping[str, TensorFacts]
    aliases: Mapping[str, str]
    constants: Mapping[str, Tensor]
    feeds: tuple[Feed, ...] = ()


def parse(text: bytes) -> Program:
    """Return what a graph's text says.

    Raises:
        WorkbenchError: It is no JSON, or not a graph that export writes.
    """
    # Checked before anything is built of it: an empty list takes two bytes of text and sixty of memory.
    values = sum(text.count(sign) for sign in (b",", b"[", b"{"))
    if values > len(text) // BYTES_PER_VALUE + 1000:
        raise WorkbenchError(f"the graph has {values} parts in {len(text)} bytes, more than a graph that export wrote")
    try:
        # Decoded here: json would guess at other encodings, and import what decodes them.
        facts = json.loads(text.decode())
    except (ValueError, RecursionError) as error:
        raise WorkbenchError(f"the graph is no JSON: {str(error)[:200]}") from error
    if not isinstance(facts, dict) or "graph_module" not in facts:
        raise WorkbenchError("the graph is not one that export wrote")
    # Guards are Python source. Nothing here would run them, but what was exported with some relies on them.
    if facts.get("guards_code"):
        raise WorkbenchError("the graph holds guards, which are code")
    module = field(facts, "graph_module", dict)
    graph, signature = field(module, "graph", dict), field(module, "signature", dict)
    stored, inputs = _inputs(field(signature, "input_specs", list))
    tensors = field(graph, "tensor_values", dict)
    _check_symbols(graph)
    wanted = (*(holder.value for holder in stored), *inputs)
    return Program(
        stored=stored,
        inputs=inputs,
        calls=many(field(graph, "nodes", list), _call, NODES),
        outputs=many(field(signature, "output_specs", list), _output, LIST),
        tensors={name: _tensor(field(tensors, name, dict)) for name in wanted},
        aliases={name: typed(value, str, "a name") for name, value in field(facts, "aliases", dict, {}).items()},
        constants={name: _constant(value) for name, value in field(facts, "constants", dict, {}).items()},
        feeds=read_feeds(facts.get("feeds", [])),
    )


CONSTANT_TYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int8, torch.int16, torch.int32, torch.int64,
        torch.uint8, torch.bool,
    )
}  # fmt: skip
RESULTS = frozenset(("as_tensor", "as_tensors", "as_sym_int", "as_sym_float", "as_sym_bool"))
HANDED_OUT = frozenset(("as_tensor", "as_none", "as_int", "as_float", "as_bool", "as_sym_int", "as_sym_float"))


def _argument(record: Any) -> Any:
    kind, value = one(record)
    return ARGUMENTS[kind](value) if kind in ARGUMENTS else refuse(record)


def _call(record: Any) -> Call:
    node = typed(record, dict, "a node")
    arguments = []
    for part in field(node, "inputs", list):
        named = typed(part, dict, "an argument")
        arguments.append((field(named, "name", str), _argument(named.get("arg")), named.get("kind") == 2))
    outputs = many(field(node, "outputs", list), _result, LIST)
    # An operator that returns a list has one output of many names, even where it holds one.
    names = outputs[0] if len(outputs) == 1 else tuple(name for name in outputs if isinstance(name, str))
    if len(outputs) > 1 and len(names) != len(outputs):
        refuse(node["outputs"])
    return Call(field(node, "target", str), tuple(arguments), names)


def _result(record: Any) -> str | tuple[str, ...]:
    kind, value = one(record)
    read = ARGUMENTS[kind](value) if kind in RESULTS else None
    if isinstance(read, Ref):
        return read.name
    return tuple(ref.name for ref in read) if isinstance(read, list) else refuse(record)


def _inputs(specs: list[Any]) -> tuple[tuple[Stored, ...], tuple[str, ...]]:
    stored, inputs = [], []
    for spec in many(specs, one, NODES):
        kind, inner = spec[0], typed(spec[1], dict, "an input")
        if kind in ("parameter", "buffer", "tensor_constant"):
            name = field(inner, f"{kind}_name", str)
            constant = kind == "tensor_constant" or (
                kind == "buffer" and field(inner, "persistent", bool, True) is False
            )
            stored.append(Stored(name_of(inner.get("arg")).name, name, kind == "parameter", constant))
        elif kind == "user_input":
            value = _argument(inner.get("arg"))
            inputs.append(value.name if isinstance(value, Ref) else refuse(inner))
        else:
            raise WorkbenchError(f"the graph has an input of the kind {kind[:40]!r}, which is not read")
    if not 1 <= len(inputs) <= INPUTS:
        raise WorkbenchError(f"the graph takes {len(inputs)} inputs; 1 to {INPUTS} may be")
    return tuple(stored), tuple(inputs)


def _constant(record: Any) -> Tensor:
    """Return a tensor of its type, shape and bytes.

    Raises:
        WorkbenchError: The type is none that is stored, or the bytes are not as many as the shape says.
    """
    facts = typed(record, dict, "a constant")
    dtype = CONSTANT_TYPES.get(field(facts, "dtype", str))
    shape = many(field(facts, "shape", list), lambda size: whole(typed(size, int, "a size")), DIMENSIONS)
    if dtype is None or any(size < 0 for size in shape):
        raise WorkbenchError(
            f"the graph has a constant of the type {str(facts.get('dtype'))[:40]!r} and the sizes {shape}"
        )
    try:
        data = base64.b64decode(field(facts, "data", str), validate=True)
    except ValueError as error:
        raise WorkbenchError("the graph has a constant whose bytes are no base64") from error
    if len(data) != math.prod(shape) * dtype.itemsize:
        raise WorkbenchError(f"the graph has a constant of {len(data)} bytes for {dtype} of {shape}")
    flat = torch.frombuffer(bytearray(data), dtype=dtype) if data else torch.empty(0, dtype=dtype)
    return flat.reshape(shape)


def _output(spec: Any) -> Any:
    kind, inner = one(spec)
    if kind != "user_output":
        raise WorkbenchError(f"the graph has an output of the kind {kind[:40]!r}, which changes what the model holds")
    record = typed(inner, dict, "an output").get("arg")
    return _argument(record) if one(record)[0] in HANDED_OUT else refuse(record)


def _check_symbols(graph: Mapping[str, Any]) -> None:
    """Look at every size expression, also at those of values that nothing else is read of."""
    for table in ("sym_int_values", "sym_float_values", "sym_bool_values"):
        for value in field(graph, table, dict, {}).values():
            kind, inner = one(value)
            if kind == "as_expr":
                _expression(inner)
    for value in field(graph, "tensor_values", dict).values():
        for part in ("sizes", "strides"):
            for size in field(typed(value, dict, "a tensor's facts"), part, list, []):
                _size(size)


def _expression(record: Any) -> Any:
    facts = typed(record, dict, "a size expression")
    check_size(field(facts, "expr_str", str))
    return facts.get("hint")


def _size(record: Any) -> int | None:
    """Return a size, for an expression that of the example, None where that is not known."""
    kind, value = one(record)
    if kind == "as_expr":
        hint = _expression(value)
        return whole(one(hint)[1]) if isinstance(hint, dict) and one(hint)[0] == "as_int" else None
    return whole(value) if kind == "as_int" else refuse(record)


def _tensor(facts: Mapping[str, Any]) -> TensorFacts:
    sizes = many(field(facts, "sizes", list), _size, DIMENSIONS)
    if field(facts, "layout", int, STRIDED) != STRIDED:
        raise WorkbenchError("the graph has a tensor that is not dense")
    shape = tuple(2 if size is None else size for size in sizes)
    dtype = DTYPE(field(facts, "dtype", int))
    if any(size < 0 for size in shape) or math.prod(max(size, 1) for size in shape) * dtype.itemsize > STORED_BYTES:
        raise WorkbenchError(f"the graph has a tensor of the sizes {shape}")
    return TensorFacts(dtype, shape)
