"""A model as a graph of its layers: who reads whom, with sums and other joins between them, for people to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from torch import Tensor, nn
from torch.export.graph_signature import InputKind
from torch.fx import Node

from workbench.errors import WorkbenchError
from workbench.graph.propose import propose_groups
from workbench.graph.tracing import trace
from workbench.model.layers import LOOSE, Layer
from workbench.model.structure import structure

Kind = Literal["layer", "join", "input", "output"]
JOINS = {
    "add": "+", "add_": "+", "sub": "−", "mul": "×", "mul_": "×", "div": "÷", "cat": "concat", "matmul": "matmul",
    "bmm": "matmul", "scaled_dot_product_attention": "attention",
}  # fmt: skip


# Names and edges are those of the code: a state with other weights, or fewer channels, has the graph of the one before.
KEPT = 16
_KNOWN: dict[object, ModuleGraph] = {}


@dataclass(frozen=True)
class Part:
    """A layer's module, a join of several tensors, an input or the output.

    Attributes:
        name: The module's name, or what the traced graph calls a join.
        kind: What it is.
        title: What people read.
        layers: Names of the layers in it.
        blocks: Names of the modules around it, the outermost first.
    """

    name: str
    kind: Kind
    title: str
    layers: tuple[str, ...] = ()
    blocks: tuple[str, ...] = ()


@dataclass(frozen=True)
class ModuleGraph:
    """Parts in the order in which they are run, and who reads whom.

    Attributes:
        parts: Each once, however often it is called.
        edges: (from, to), by names of parts.
        coupled: Sets of layers whose output channels go together, as they follow from the graph alone.
        note: Why it is a list in the order of the code and no traced graph, "" if it is one.
    """

    parts: tuple[Part, ...]
    edges: tuple[tuple[str, str], ...]
    coupled: tuple[tuple[str, ...], ...] = ()
    note: str = ""


def module_graph(model: nn.Module, example: tuple[Tensor, ...], layers: Sequence[Layer]) -> ModuleGraph:
    """Return the graph of a model's layers; where it cannot be traced, its layers one after the other.

    Operators that only look at one part, such as norms and activations, are not in it: they lie on the edges.

    Args:
        model: Any module; it is not changed.
        example: The inputs, batch first.
        layers: The model's.
    """
    key = structure(model), tuple((value.shape, value.dtype) for value in example), tuple(one.name for one in layers)
    if (known := _KNOWN.get(key)) is None:
        known = _KNOWN[key] = _traced(model, example, layers)
        while len(_KNOWN) > KEPT:
            _KNOWN.pop(next(iter(_KNOWN)), None)
    return known


def _traced(model: nn.Module, example: tuple[Tensor, ...], layers: Sequence[Layer]) -> ModuleGraph:
    try:
        program = trace(model, example)
    except WorkbenchError as error:
        return in_order(layers, str(error))
    walk = _Walk(layers)
    specs = {spec.arg.name: spec for spec in program.graph_signature.input_specs if hasattr(spec.arg, "name")}
    for node in program.graph.nodes:
        if node.op == "placeholder":
            spec = specs.get(node.name)
            walk.enter(node, spec.target if spec is not None and spec.kind is not InputKind.USER_INPUT else None)
        elif node.op == "output":
            walk.leave(node)
        elif node.op == "call_function":
            walk.call(node)
    missed = _unreached(layers, {name for part in walk.parts.values() for name in part.layers})
    groups = propose_groups(model, program)
    coupled = tuple(group.layers for group in groups if len(group.layers) > 1)
    return ModuleGraph((*walk.parts.values(), *missed), tuple(walk.edges), coupled)


def in_order(layers: Sequence[Layer], note: str = "") -> ModuleGraph:
    """Return layers one after the other, as their modules stand in the code."""
    parts = _unreached(layers, set())
    return ModuleGraph(parts, tuple((one.name, other.name) for one, other in pairwise(parts)), note=note)


class _Walk:
    """Goes through the traced graph in its order, and knows of each value which parts it comes from."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        self.parts: dict[str, Part] = {}
        self.edges: dict[tuple[str, str], None] = {}
        self._sources: dict[Node, tuple[str, ...]] = {}
        self._modules: dict[str, list[str]] = {}
        self._loose = {layer.parameter: layer for layer in layers if layer.kind == LOOSE}
        for layer in layers:
            if layer.kind != LOOSE:
                self._modules.setdefault(layer.module, []).append(layer.name)

    def enter(self, node: Node, stored: str | None) -> None:
        """Take an input; `stored` names the parameter or buffer that it is."""
        if stored is None:
            self._add(Part(node.name, "input", node.name), ())
            self._sources[node] = (node.name,)
        elif (layer := self._loose.get(stored)) is not None:
            self._add(Part(layer.name, "layer", layer.name, (layer.name,), _around(layer.name)), ())
            self._sources[node] = (layer.name,)
        else:
            self._sources[node] = ()

    def leave(self, node: Node) -> None:
        """Take what the model gives."""
        self._add(Part("output", "output", "output"), self._read(node))

    def call(self, node: Node) -> None:
        """Take one call of an operator."""
        read, stack = self._read(node), _stack(node)
        module = next((name for name in stack if name in self._modules), None)
        if module is not None:
            names = [name for inner, names in self._modules.items() if _within(inner, module) for name in names]
            part = Part(module, "layer", module or "(model)", tuple(names), _around(module))
        elif len(read) > 1:
            operator = str(node.target).removeprefix("aten.").split(".")[0]
            part = Part(f"{node.name} ()", "join", JOINS.get(operator, operator), (), tuple(filter(None, stack)))
        else:
            self._sources[node] = read
            return
        self._add(part, read)
        self._sources[node] = (part.name,)

    def _read(self, node: Node) -> tuple[str, ...]:
        names = (name for source in node.all_input_nodes for name in self._sources.get(source, ()))
        return tuple(dict.fromkeys(names))

    def _add(self, part: Part, read: Sequence[str]) -> None:
        self.parts.setdefault(part.name, part)
        self.edges.update({(source, part.name): None for source in read if source != part.name})


def _stack(node: Node) -> list[str]:
    """Return the names of the modules that a call is made in, the outermost first."""
    return [str(path) for path, _ in (node.meta.get("nn_module_stack") or {}).values()]


def _within(inner: str, outer: str) -> bool:
    return inner == outer or inner.startswith(f"{outer}.")


def _around(name: str) -> tuple[str, ...]:
    """Return the modules around one, the outermost first, without the model itself."""
    words = name.split(".")
    return tuple(".".join(words[:count]) for count in range(1, len(words)))


def _unreached(layers: Sequence[Layer], known: set[str]) -> tuple[Part, ...]:
    """Return parts of the layers that no traced call belongs to."""
    return tuple(
        Part(layer.name, "layer", layer.name, (layer.name,), _around(layer.name))
        for layer in layers
        if layer.name not in known
    )
