"""Residual branches: sums x + f(x) that may do without f."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any

from torch import Tensor, nn
from torch.fx import GraphModule, Interpreter, Node

from workbench.graph.cutting import check_same
from workbench.graph.fold import argument, operator
from workbench.graph.remake import as_module
from workbench.graph.rewrite import without_mutation
from workbench.graph.tracing import trace
from workbench.model.twin import sharing_copy
from workbench.task.batch import feeds_of, mark_feeds


@dataclass(frozen=True)
class Branch:
    """What is added to a value that it is computed from, and that has the same shape.

    Attributes:
        name: The module that holds all its layers, or its first and last one where that module holds more.
        layers: Modules with parameters that nothing else uses, in the order in which they are called.
        start: Name of the graph's node that gives x.
        sum: Name of the node that gives x + f(x).
    """

    name: str
    layers: tuple[str, ...]
    start: str
    sum: str


def branches(model: nn.Module, example: tuple[Tensor, ...]) -> tuple[GraphModule, tuple[Branch, ...]]:
    """Return a model made of the traced graph, with the same parameters, and its residual branches in order.

    Of branches that lie within each other only the innermost are there.

    Args:
        model: Any module that can be traced; it is not changed.
        example: The positional inputs, batch first.

    Raises:
        WorkbenchError: The model cannot be traced, or writes into memory that others read.
    """
    program = trace(model, example)
    without_mutation(program.graph)
    traced = as_module(program, model)
    check_same(model, traced, example)
    candidates = [branch for node in traced.graph.nodes if (branch := _branch(traced, node)) is not None]
    inner = [branch for branch, lost in candidates if not any(other.sum in lost for other, _ in candidates)]
    counted = Counter(branch.name for branch in inner)
    return traced, tuple(
        replace(branch, name=_span(branch.layers)) if counted[branch.name] > 1 else branch for branch in inner
    )


def without_branches(traced: GraphModule, gone: Sequence[Branch]) -> GraphModule:
    """Return a copy of a model made of its graph without these branches, their layers and parameters."""
    smaller = sharing_copy(traced)
    nodes = {node.name: node for node in smaller.graph.nodes}
    # The last one first: a branch often starts from the sum before it.
    for branch in sorted(gone, key=lambda branch: list(nodes).index(branch.sum), reverse=True):
        nodes[branch.sum].replace_all_uses_with(nodes[branch.start])
    # Attention and dropout draw random numbers while they train, and are as dead as the rest.
    smaller.graph.eliminate_dead_code(lambda node: node.is_impure(impure_random=False))
    # What the graph no longer names is left behind.
    bare = GraphModule(smaller, smaller.graph)
    mark_feeds(bare, feeds_of(traced))
    return bare


class Bypass(Interpreter):
    """Runs a model made of its graph, with x in place of x + f(x) where a branch is skipped.

    Attributes:
        seen: After a run, x and x + f(x) of every watched branch, by the name of the sum.
    """

    takes_its_inputs_flat = True

    def __call__(self, *inputs: Tensor) -> Any:
        """Return what the model gives."""
        return self.run(*inputs)

    def __init__(self, traced: GraphModule, skipped: Collection[Branch] = (), watched: Collection[Branch] = ()) -> None:
        super().__init__(traced)
        self._skipped = {branch.sum: branch.start for branch in skipped}
        self._watched = {branch.sum: branch.start for branch in watched}
        self._nodes = {node.name: node for node in traced.graph.nodes}
        self.seen: dict[str, tuple[Tensor, Tensor]] = {}
        mark_feeds(self, feeds_of(traced))

    def run_node(self, n: Node) -> Any:
        if n.name in self._skipped:
            return self.env[self._nodes[self._skipped[n.name]]]
        result = super().run_node(n)
        if n.name in self._watched:
            self.seen[n.name] = self.env[self._nodes[self._watched[n.name]]], result
        return result


def _branch(traced: GraphModule, node: Node) -> tuple[Branch, set[str]] | None:
    """Return the branch that a sum adds, and the names of the nodes that nobody needs without it."""
    if operator(node) != "add" or argument(node, 2, "alpha") not in (None, 1):
        return None
    one, other = node.args[:2]
    if not isinstance(one, Node) or not isinstance(other, Node):
        return None
    for start, added in ((one, other), (other, one)):
        if _shape(start) != _shape(node) or _shape(start) is None or start not in _ancestors(added):
            continue
        lost = _lost(start, added, node)
        if layers := _layers(traced, lost):
            return Branch(_name(traced, layers), layers, start.name, node.name), {n.name for n in lost}
    return None


def _name(traced: GraphModule, layers: Sequence[str]) -> str:
    # A module that gives a factor of its own holds the others, or would name more than there is.
    modules = dict(traced.named_modules())  # a parameter of the whole model's own is in none
    called = [layer for layer in layers if layer in modules and not list(modules[layer].children())] or layers
    paths = [layer.split(".")[:-1] for layer in called]
    alike = takewhile(lambda parts: len(set(parts)) == 1, zip(*paths, strict=False))
    return ".".join(parts[0] for parts in alike) or _span(called)


def _span(layers: Sequence[str]) -> str:
    return layers[0] if len(layers) == 1 else f"{layers[0]} to {layers[-1]}"


def _shape(node: Node) -> tuple[str, ...] | None:
    value = node.meta.get("val")
    return tuple(map(str, value.shape)) if isinstance(value, Tensor) else None


def _ancestors(node: Node) -> set[Node]:
    ancestors, left = set[Node](), [node]
    while left:
        for source in left.pop().all_input_nodes:
            if source not in ancestors:
                ancestors.add(source)
                left.append(source)
    return ancestors


def _lost(start: Node, added: Node, total: Node) -> set[Node]:
    """Return the nodes that nobody needs once the sum is what it starts from; none if what is added has other users."""
    if set(added.users) != {total}:
        return set()
    lost = {added}
    for node in reversed(list(total.graph.nodes)):
        if node is not start and node.op != "placeholder" and node.users and lost.issuperset(node.users):
            lost.add(node)
    return lost


def _layers(traced: GraphModule, lost: Collection[Node]) -> tuple[str, ...]:
    """Return the modules whose parameters only these nodes read."""
    staying = {str(n.target) for n in traced.graph.nodes if n.op in ("call_module", "get_attr") and n not in lost}
    parameters = {name for name, _ in traced.named_parameters(remove_duplicate=False)}
    names, owners = list[str](), list[str]()
    for node in traced.graph.nodes:
        if node not in lost or str(node.target) in staying:
            continue
        if node.op == "call_module" and any(True for _ in traced.get_submodule(str(node.target)).parameters()):
            names.append(str(node.target))
        elif node.op == "get_attr" and str(node.target) in parameters:
            owners.append(str(node.target).rpartition(".")[0] or str(node.target))
    return tuple(dict.fromkeys(names + owners))
