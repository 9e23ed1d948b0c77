"""A traced program as text, without weights, and a module made from such text without the model's source.

The text may come from anywhere, so it is held against a list of what a program may say before anything in it is
interpreted: known operators by name, and size expressions of symbols and whole numbers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor, nn

from workbench.errors import WorkbenchError
from workbench.graph.remake import with_modules
from workbench.graph.tracing import trace
from workbench.graph.walk import canonical_names

ALIASES = "aliases"
OPERATOR = re.compile(r"torch\.ops\.aten\.\w+(\.\w+)?|_operator\.(add|sub|mul|floordiv|neg|getitem|eq|ne|ge|le|gt|lt)")
WORDS = "Symbol|Integer|Add|Mul|Max|Min|Mod|FloorDiv|PythonMod|CleanDiv|Eq|Ne|integer|positive|nonnegative|True|False"
EXPRESSION = re.compile(rf"(?:\b(?:{WORDS})\b|'?\b[su]\d+\b'?|\b\d+\b|[\s(),=+/<>-]|\*(?!\*))*")


def to_text(model: nn.Module, example: tuple[Tensor, ...]) -> bytes:
    """Return the model's graph as JSON, without any of its values.

    Raises:
        WorkbenchError: The model cannot be traced.
    """
    from torch._export.serde.serialize import serialize  # it takes longer to import than torch itself

    program = trace(model, example)
    if program.constants:
        names = ", ".join(program.constants)
        raise WorkbenchError(f"the graph holds constant tensors ({names}) that are neither parameters nor buffers")
    made = json.loads(serialize(program).exported_program)
    # Guards, such as that two inputs have the same batch, are code; nothing is read that holds any.
    made["guards_code"] = []
    _forget_source(made)
    # A file holds tied tensors once, under their first name; the graph reads them under each of their names.
    made[ALIASES] = {name: first for name, first in canonical_names(model).items() if name != first}
    return json.dumps(made, sort_keys=True, separators=(",", ":")).encode()


def from_text(text: bytes, tensors: Mapping[str, Tensor]) -> nn.Module:
    """Return a module of a graph's text and its values, with layers as modules again under their old names.

    Raises:
        WorkbenchError: The text is damaged, says what a program may not, or the tensors do not fit.
    """
    from torch._export.serde.serialize import SerializedArtifact, deserialize  # as above

    try:
        facts = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WorkbenchError(f"the graph is no JSON: {error}") from error
    _check(facts)
    try:
        held = _held(facts, tensors)
        artifact = SerializedArtifact(json.dumps(facts).encode(), held, {}, b"")  # type: ignore[arg-type]  # a dict is taken too
        module = deserialize(artifact).module(check_guards=False)
    except Exception as error:  # torch raises whatever its parser trips over
        raise WorkbenchError(f"the graph cannot be read: {type(error).__name__}: {error}") from error
    return with_modules(module)


def _check(facts: Any) -> None:
    """Refuse what would be interpreted as anything but an operator or a size."""
    if not isinstance(facts, dict) or "graph_module" not in facts:
        raise WorkbenchError("the graph is not one that export wrote")
    # Guards are Python source that torch would compile; the workbench writes none.
    if facts.get("guards_code"):
        raise WorkbenchError("the graph holds guards, which are code")
    for key, value in _strings(facts):
        if key == "target" and value and not OPERATOR.fullmatch(value) and not _is_name(value, facts):
            raise WorkbenchError(f"the graph asks for {value!r}, which a program may not")
        if key == "expr_str" and not EXPRESSION.fullmatch(value):
            raise WorkbenchError(f"the graph holds {value!r}, which is no size expression")


def _is_name(value: str, facts: dict[str, Any]) -> bool:
    """Return whether a target is the name of a stored tensor, and nothing that torch would look up."""
    specs = facts["graph_module"]["signature"]["input_specs"]
    return value in {name for spec in specs for name in _stored(spec)}


def _stored(spec: Mapping[str, Any]) -> Iterator[str]:
    for kind, inner in spec.items():
        if kind in ("parameter", "buffer"):
            yield inner[f"{kind}_name"]


def _held(facts: dict[str, Any], tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors as the program wants them: parameters as such, tied ones under each of their names."""
    aliases = facts.pop(ALIASES, {})
    known: dict[str, Tensor] = {}
    held: dict[str, Tensor] = {}
    for spec in facts["graph_module"]["signature"]["input_specs"]:
        for name in _stored(spec):
            first = str(aliases.get(name, name))
            if first not in tensors:
                raise WorkbenchError(f"the graph wants the tensor {first}, which is not in the file")
            value = tensors[first]
            made = nn.Parameter(value) if "parameter" in spec and value.is_floating_point() else value
            held[name] = known.setdefault(first, made)
    return held


def _strings(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _strings(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner, key)


def _forget_source(facts: Any) -> None:
    """Drop stack traces and the like: they hold paths of the machine that traced, and half of the text."""
    for node in facts["graph_module"]["graph"]["nodes"]:
        node["metadata"] = {}
