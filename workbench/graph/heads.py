"""Graphs whose number of attention heads follows from the sizes of the tensors that go in."""

from __future__ import annotations

from typing import Any

import torch
from torch.export import ExportedProgram
from torch.fx import Node

from workbench.graph.flow import Labelled
from workbench.graph.labels import Array, Classes
from workbench.graph.rules.shapes import RESHAPES
from workbench.graph.walk import Walk, operator_name


def open_heads(program: ExportedProgram, walk: Walk) -> None:
    """Leave, in every reshape and expansion of a traced graph, the size open in which heads are counted; in place.

    A reshape that counts heads in two of its sizes, or leaves another one open for good, stays as it is.
    """
    classes = walk.labels.classes()
    for node in program.graph.nodes:
        value = walk.values.get(node)
        if node.op != "call_function" or not isinstance(value, Labelled):
            continue
        if operator_name(node.target) == "expand":
            node.update_arg(1, _as_it_is(node, value, classes))
        if operator_name(node.target) not in RESHAPES:
            continue
        sizes = next((place for place, argument in enumerate(node.args) if isinstance(argument, list | tuple)), None)
        if sizes is not None:
            node.update_arg(sizes, _opened(node, sizes, value, classes))


def _as_it_is(node: Node, value: Labelled, classes: Classes) -> Any:
    """Return the sizes of an expansion, with heads as many as there are: keys that several queries share stand so."""
    sizes: Any = node.args[1]
    before = node.all_input_nodes[0].meta["val"].shape
    added = len(sizes) - len(before)
    return [
        -1 if number >= added and before[number - added] == size and _counts(value.dims[number], classes) else size
        for number, size in enumerate(sizes)
    ]


def _opened(node: Node, place: int, value: Labelled, classes: Classes) -> Any:
    sizes: Any = node.args[place]
    # An unflatten gives the sizes of some dimensions only, from the one before them on.
    start: Any = node.args[1] if operator_name(node.target) == "unflatten" else 0
    start %= len(value.dims) - len(sizes) + 1
    counted = [number for number in range(len(sizes)) if _counts(value.dims[start + number], classes)]
    known = node.meta["val"].shape[start:]
    closed = [known[number] if size == -1 else size for number, size in enumerate(sizes)]
    if len(counted) != 1 or any(isinstance(size, torch.SymInt) for size in closed):
        return sizes
    closed[counted[0]] = -1
    return closed


def _counts(labels: Array, classes: Classes) -> bool:
    return bool(classes.heads[classes.of[labels[labels >= 0]]].any())
