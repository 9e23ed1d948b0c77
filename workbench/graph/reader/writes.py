"""Operators that write into their first argument, as ones that write nothing.

A write is replaced by its pure form where nothing else looks at that memory afterwards. It stays where only values that
the graph itself computed lie there; then it is seen exactly by those that it was meant for. Anything else is refused:
it would change the weights with every run, or what the caller gave.
"""

from __future__ import annotations

import operator
from collections import defaultdict
from typing import Any

import torch
from torch import Tensor
from torch.fx import Graph, Node

from workbench.errors import WorkbenchError
from workbench.graph.reader.operators import Operator, operators

MOST_WORK = 1_000_000  # values that are looked at for all nodes together, far above any network's
Roots = frozenset[Node]


def without_writes(graph: Graph) -> None:
    """Replace writes by pure operators in a graph whose nodes have their results in `meta["val"]`, in place.

    Raises:
        WorkbenchError: A write could reach what the model holds or what the caller gave, where others read it.
    """
    _Writes(graph)


class _Writes:
    """Follows which values may lie in the same memory, node by node.

    Attributes:
        roots: The inputs, stored tensors and computed values in whose memory each value may lie.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph, self.table = graph, operators()
        self.order = {node: place for place, node in enumerate(graph.nodes)}
        self.roots: dict[Node, Roots] = {}
        self.members: dict[Node, list[Node]] = defaultdict(list)
        self.memory: dict[int, Roots] = {}
        self.work = 0
        for node in list(graph.nodes):
            if node.op == "output":
                continue
            known = self.table.get(node.meta.get("operator", ""))
            if known is not None and known.pure:
                self._write(node, known)
            else:
                self._set(node, self._found(node, known))

    def _found(self, node: Node, known: Operator | None) -> Roots:
        if node.target is operator.getitem:
            return self.roots[node.args[0]]  # type: ignore[index]  # a node, which the reader put there
        own: Roots = frozenset((node,))
        inside = node.all_input_nodes
        if known is not None and known.aliases and inside:
            own = own.union(*(self.roots[source] for source in inside))
        # What really lies in the same memory counts too, whatever the operator is known for.
        return own.union(*(self.memory.get(place, frozenset()) for place in _places(node.meta.get("val"))))

    def _set(self, node: Node, roots: Roots) -> None:
        self._spend(len(roots))
        self.roots[node] = roots
        for root in roots:
            self.members[root].append(node)
        for place in _places(node.meta.get("val")):
            self.memory[place] = self.memory.get(place, frozenset()) | roots

    def _write(self, node: Node, known: Operator) -> None:
        written: Any = node.args[0]
        roots = self.roots[written]
        held = any(root.op == "get_attr" for root in roots)
        is_input = any(root.op == "placeholder" for root in roots)
        name = known.name.removeprefix("torch.ops.aten.")
        if self._is_seen(written, roots, self.order[node]):
            if held or is_input:
                what = "a tensor that the model holds" if held else "an input"
                raise WorkbenchError(f"the graph writes into the memory of {what} ({name})")
            self._set(node, roots)
            return
        if held:
            raise WorkbenchError(f"the graph writes into the memory of a tensor that the model holds ({name})")
        result = self._pure(node, known, written)
        self._spend(10 * len(written.users))
        for user in [user for user in written.users if self.order.get(user, -1) > self.order[node]]:
            user.replace_input_with(written, result)
        self._set(node, frozenset((node,)))
        if result is not node:
            self._set(result, frozenset((node,)))

    def _pure(self, node: Node, known: Operator, written: Node) -> Node:
        """Make a node the pure form of its operator, and return what now has the value that was written."""
        node.target = self.table[known.pure].call
        node.meta["operator"] = known.pure
        dtype = written.meta["val"].dtype
        mixed = any(isinstance(n.meta["val"], Tensor) and n.meta["val"].dtype != dtype for n in node.all_input_nodes)
        if not mixed:
            return node
        # A write keeps the type of what it writes into; the pure form may return a wider one.
        with self.graph.inserting_after(node):
            cast = self.graph.call_function(torch.ops.aten.to.dtype, (node, dtype))
        node.replace_all_uses_with(cast, delete_user_cb=lambda user: user is not cast)
        cast.meta.update(val=node.meta["val"], operator="torch.ops.aten.to.dtype", outputs=None)
        self.order[cast] = self.order[node]
        return cast

    def _spend(self, count: int) -> None:
        self.work += count
        if self.work > MOST_WORK:
            raise WorkbenchError("the graph has too many views and writes of the same memory to be followed")

    def _is_seen(self, written: Node, roots: Roots, place: int) -> bool:
        """Whether another value that may lie in the same memory is read after the write."""
        for root in roots:
            self._spend(len(self.members[root]))
            for other in self.members[root]:
                if other is not written and any(self.order.get(user, place) > place for user in other.users):
                    return True
        return False


def _places(value: Any) -> list[int]:
    values = value if isinstance(value, list | tuple) else [value]
    return [tensor.untyped_storage()._cdata for tensor in values if isinstance(tensor, Tensor)]
