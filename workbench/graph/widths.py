"""Graphs whose widths follow from the tensors that go in, where a model's code wrote numbers down.

`x.reshape(n, self.width, -1)` runs with no other width than the one it was written for, however its layers are cut.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.fx import Graph, Node

from workbench.graph.flow import Labelled
from workbench.graph.labels import Array, Classes
from workbench.graph.rules.shapes import RESHAPES
from workbench.graph.walk import Walk, operator_name

aten = torch.ops.aten
# Operators that make a tensor of a size, with the place of the size among their arguments.
MAKING = {"zeros": 0, "ones": 0, "full": 0, "empty": 0, "new_zeros": 1, "new_ones": 1, "new_full": 1, "new_empty": 1}


def open_widths(program: ExportedProgram, walk: Walk) -> bool:
    """Take each size that counts removable channels from a tensor that has them, in place; return whether any was.

    A size that no tensor has is left open, where the operator allows that for one; otherwise it stays as it is.
    """
    opening = _Opening(program.graph, walk)
    opened = [opening.visit(node) for node in list(program.graph.nodes)]
    return any(opened)


class _Opening:
    """What is known of the tensors before the operator that is looked at."""

    def __init__(self, graph: Graph, walk: Walk) -> None:
        self._graph, self._walk, self._classes = graph, walk, walk.labels.classes()
        self._made: dict[bytes, tuple[Node, int]] = {}  # activations, by the classes of one of their dimensions
        self._held: dict[bytes, tuple[Node, int]] = {}  # parameters, likewise
        for node in graph.nodes:
            if node.op == "placeholder":
                self._remember(node, self._held)

    def visit(self, node: Node) -> bool:
        """Open the sizes of one operator."""
        value = self._walk.values.get(node)
        name = operator_name(node.target) if node.op == "call_function" else ""
        opened = False
        if isinstance(value, Labelled) and (name in RESHAPES or name == "expand" or name in MAKING):
            place = MAKING.get(
                name, next((at for at, one in enumerate(node.args) if isinstance(one, list | tuple)), None)
            )
            if place is not None and place < len(node.args) and isinstance(node.args[place], list | tuple):
                opened = self._sized(node, value, place, name)
        elif isinstance(value, Labelled) and name in ("layer_norm", "rms_norm") and _stays_operator(node):
            opened = self._sized(node, value, 1, name)
        elif isinstance(value, Labelled) and name.startswith("conv") and _stays_operator(node):
            opened = self._grouped(node, value, name)
        elif isinstance(value, list) and name in ("split", "split_with_sizes"):
            opened = self._split(node, value)
        self._remember(node, self._made)
        return opened

    def _sized(self, node: Node, value: Labelled, place: int, name: str) -> bool:
        sizes: Any = list(node.args[place])  # type: ignore[arg-type]  # it is a list, as was looked at
        start: Any = node.args[1] if name == "unflatten" else -1 if name.endswith("norm") else 0
        start %= len(value.dims) - len(sizes) + 1
        free = [
            at
            for at, size in enumerate(sizes)
            if type(size) is int and size > 0 and self._frees(value.dims[start + at])
        ]
        if name == "expand":
            added = len(sizes) - len(node.all_input_nodes[0].meta["val"].shape)
            for at in free:
                labels = value.dims[at]
                stays = at >= added and self._entering(node, at - added) == sizes[at]
                met = self._size(node, labels, self._made) or self._size(node, labels, self._held)
                sizes[at] = -1 if stays else met or sizes[at]
        else:
            sizes = [
                self._size(node, value.dims[start + at], self._made) or size if at in free else size
                for at, size in enumerate(sizes)
            ]
            left = [at for at in free if type(sizes[at]) is int]
            computed = [at for at, size in enumerate(sizes) if self._multiplies(size, value.dims[start + at])]
            open_one = computed or left  # the operator finds one size out by itself
            if name in RESHAPES and len(open_one) == 1:
                sizes = [self._closed(node, value, start, at, size) for at, size in enumerate(sizes)]
                if -1 not in sizes:
                    sizes[open_one[0]] = -1
                    free, left = [*free, *computed], [at for at in left if at not in open_one]
            for at in left:
                sizes[at] = self._size(node, value.dims[start + at], self._held) or sizes[at]
        if free:
            node.update_arg(place, sizes)
        return bool(free)

    def _multiplies(self, size: Any, labels: Array) -> bool:
        """Return whether a size is a product with a number of channels in it, such as one for each sample and channel.

        It was computed when the model was traced: from the batch, which is open, and the width as it was.
        """
        return isinstance(size, Node) and size.target in (operator.mul, aten.mul.Scalar) and self._frees(labels)

    def _closed(self, node: Node, value: Labelled, start: int, at: int, size: Any) -> Any:
        """Return a size that the operator would find out by itself, where it is known and counts nothing removable."""
        known = node.meta["val"].shape[start + at]
        return known if size == -1 and type(known) is int and not self._frees(value.dims[start + at]) else size

    def _grouped(self, node: Node, value: Labelled, name: str) -> bool:
        """Let a depthwise convolution have as many groups as there are channels."""
        source: Any = node.args[0]
        axis = len(value.dims) - int(name.rstrip("d")[-1]) - 1
        groups: Any = node.args[6] if len(node.args) > 6 else 1
        if groups == 1 or groups != source.meta["val"].shape[axis] or name.startswith("conv_t"):
            return False
        with self._graph.inserting_before(node):
            node.update_arg(6, self._call(aten.sym_size.int, (source, axis), groups))
        return True

    def _entering(self, node: Node, axis: int) -> Any:
        return node.all_input_nodes[0].meta["val"].shape[axis]

    def _split(self, node: Node, value: list[Labelled]) -> bool:
        """Let equal parts stay equal, and unequal ones be as long as what they meet."""
        axis = node.args[2] if len(node.args) > 2 else node.kwargs.get("dim", 0)
        lines = [part.dims[axis] for part in value]  # type: ignore[index]  # a dimension is a number
        if not any(self._frees(labels) for labels in lines) or any(
            isinstance(size, Node) for size in _listed(node.args[1])
        ):
            return False
        source = node.args[0]
        if len({len(labels) for labels in lines}) == 1:
            node.target, node.args, node.kwargs = aten.chunk.default, (source, len(lines), axis), {}
            return True
        sizes: list[Any] = [
            self._size(node, labels, self._made) or self._size(node, labels, self._held)
            if self._frees(labels)
            else len(labels)
            for labels in lines
        ]
        missing = [at for at, size in enumerate(sizes) if size is None]
        if len(missing) > 1:
            return False
        if missing:
            with self._graph.inserting_before(node):
                rest = self._call(aten.sym_size.int, (source, axis), sum(map(len, lines)))
                for at, size in enumerate(sizes):
                    if at not in missing:
                        rest = self._call(operator.sub, (rest, size), rest.meta["val"] - len(lines[at]))
            sizes[missing[0]] = rest
        node.target, node.args, node.kwargs = aten.split_with_sizes.default, (source, sizes, axis), {}
        return True

    def _size(self, node: Node, labels: Array, where: dict[bytes, tuple[Node, int]]) -> Node | None:
        """Return a size that is as many as there are of these channels, None where no such tensor has them."""
        tensor = where.get(self._key(labels))
        if tensor is None:
            return None
        with self._graph.inserting_before(node):
            return self._call(aten.sym_size.int, tensor, len(labels))

    def _call(self, target: Callable[..., Any], args: tuple[Any, ...], value: int) -> Node:
        node = self._graph.call_function(target, args)
        node.meta["val"] = value
        return node

    def _remember(self, node: Node, where: dict[bytes, tuple[Node, int]]) -> None:
        value = self._walk.values.get(node)
        if isinstance(value, Labelled) and isinstance(node.meta.get("val"), Tensor):
            for axis, labels in enumerate(value.dims):
                if self._frees(labels):
                    where.setdefault(self._key(labels), (node, axis))

    def _key(self, labels: Array) -> bytes:
        return self._classes.of[labels].tobytes()

    def _frees(self, labels: Array) -> bool:
        """Return whether all of a dimension's indices are channels, and some might be removed."""
        return frees(self._classes, labels)


def _stays_operator(node: Node) -> bool:
    """Return whether an operator's weight is read elsewhere too, so that it becomes no module with its own width."""
    place = 1 if operator_name(node.target).startswith("conv") else 2
    weight = node.args[place] if len(node.args) > place else node.kwargs.get("weight")
    return not isinstance(weight, Node) or weight.op != "placeholder" or len(weight.users) > 1


def frees(classes: Classes, labels: Array) -> bool:
    """Return whether all of a dimension's indices are channels, and some of them might be removed."""
    return len(labels) > 1 and bool((labels >= 0).all()) and bool((classes.reason[classes.of[labels]] < 0).any())


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
