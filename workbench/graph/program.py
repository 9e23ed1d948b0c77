"""A traced program as text, without weights, and a module made from such text without the model's source.

The text may come from anywhere, so torch's own reader never sees it: `workbench.graph.reader` reads it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from workbench.errors import WorkbenchError
from workbench.graph.own_names import read_by_own_names
from workbench.graph.reader import read_program
from workbench.graph.tracing import trace
from workbench.graph.walk import canonical_names
from workbench.task.batch import feeds_of
from workbench.task.identity import tensor_bytes

ALIASES, FEEDS = "aliases", "feeds"
CONSTANTS = "constants"


def to_text(model: nn.Module, example: tuple[Tensor, ...]) -> bytes:
    """Return the model's graph as JSON, without any of its values.

    Raises:
        WorkbenchError: The model cannot be traced.
    """
    from torch._export.serde.serialize import serialize  # it takes longer to import than torch itself

    program = trace(model, example)
    strange = [name for name, value in program.constants.items() if not isinstance(value, Tensor)]
    if strange:
        raise WorkbenchError(
            f"the graph holds objects that are no tensors ({', '.join(strange)}), which no file stores"
        )
    read_by_own_names(program, model)
    facts = json.loads(serialize(program).exported_program)
    # Tensors that are no parameters, and buffers that are not stored with the weights: positions, masks, means.
    facts[CONSTANTS] = {name: written(value) for name, value in program.constants.items()}
    # Guards, such as that two inputs have the same batch, are code; nothing is read that holds any.
    facts["guards_code"] = []
    _forget_source(facts)
    # The graph takes what these make of a task's inputs.
    facts[FEEDS] = [feed.facts() for feed in feeds_of(model)]
    # A file holds tied tensors once, under their first name; the graph reads them under each of their names.
    facts[ALIASES] = {name: first for name, first in canonical_names(model).items() if name != first}
    return json.dumps(facts, sort_keys=True, separators=(",", ":")).encode()


def from_text(text: bytes, tensors: Mapping[str, Tensor]) -> nn.Module:
    """Return a module of a graph's text and its values, with layers as modules again under their old names.

    Raises:
        WorkbenchError: The text is damaged, says what a program may not, or the tensors do not fit.
    """
    return read_program(text, tensors).model


def written(value: Tensor) -> dict[str, Any]:
    """Return a tensor as JSON: its type, its shape and its bytes."""
    data = base64.b64encode(tensor_bytes(value)).decode()
    return {"dtype": str(value.dtype).removeprefix("torch."), "shape": list(value.shape), "data": data}


def _forget_source(facts: Any) -> None:
    """Drop stack traces and the like: they hold paths of the machine that traced, and half of the text."""
    for node in facts["graph_module"]["graph"]["nodes"]:
        node["metadata"] = {}
