"""A traced model cut where an edit begins: what is the same for every edit, and what has to run again.

When only some parameters change, every value that does not depend on them stays as it was. The values at the
border, one row a sample, are all that the rest of the model needs to know of what comes before; so they can be
kept, and the rest run on its own. This holds for any topology, because the border is read from the traced graph.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.fx import Graph, GraphModule, Node

from workbench.errors import WorkbenchError
from workbench.graph.rewrite import channels_last, fold_norms, fuse, in_channels_last, without_mutation

Border = tuple[str, ...]
Segment = Callable[..., Any]
# From the plainest to what is fastest on most processors; which one is, is measured.
WAIST_REACH = 0.15
WIDEST = 6
LAYOUTS = ("plain", "channels_last", "fused")


class Segments:
    """A model's traced graph, prepared for being run in parts.

    Batch norms are folded into the layers before them and mutating operators are replaced, so the parts are pure
    functions. Values of parameters are not held: whoever runs a part gives them as `constants`.

    Args:
        program: A model as `trace` gives it; not changed.
        layout: "plain", "channels_last" (faster convolutions on most processors), or "fused" (these with the
            addition and ReLU that follow them as one kernel).

    Raises:
        WorkbenchError: The model cannot be cut into parts.
    """

    def __init__(self, program: ExportedProgram, layout: str = "plain") -> None:
        signature, copied = program.graph_signature, dict[Node, Node]()
        graph = Graph()
        graph.output(graph.graph_copy(program.graph, copied))
        # A copy may have to call a node by another name than the traced graph did.
        names = {old.name: new.name for old, new in copied.items()}
        self.layout = layout
        self.inputs: Border = tuple(names[str(name)] for name in signature.user_inputs)
        stored = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
        self.stored: dict[str, str] = {names[node]: name for node, name in stored.items()}
        lifted = signature.inputs_to_lifted_tensor_constants
        self._lifted = {names[node]: program.constants[name] for node, name in lifted.items()}
        without_mutation(graph)
        fold_norms(graph)
        if layout != "plain":
            in_channels_last(graph)
        if layout == "fused":
            fuse(graph)
        graph.lint()
        self._nodes: dict[str, Node] = {node.name: node for node in graph.nodes}
        self._order = {name: place for place, name in enumerate(self._nodes)}
        self._owner = program.graph_module
        first = self._nodes[self.inputs[0]].meta["val"]
        size = first.shape[0] if first.dim() else 1
        if not isinstance(size, torch.SymInt) or size.node.expr.is_number:
            raise WorkbenchError("the model fixes its batch size, so it cannot be run in parts")
        self._batch = size.node.expr
        self._fed = self._reached(self.inputs)
        self._segments: dict[tuple[Border, Border], tuple[Segment, tuple[str, ...]]] = {}
        self._ways: dict[tuple[Border, Border], set[str] | None] = {}
        (output,) = [node for node in graph.nodes if node.op == "output"]
        flat: Sequence[Any] = output.args[0]
        if len(flat) != 1 or not isinstance(flat[0], Node):
            raise WorkbenchError("the model gives several tensors, so it is not run in parts")
        self.output: str = flat[0].name

    def feed(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Return a batch in the order of memory that the graph works in."""
        return tuple(inputs) if self.layout == "plain" else tuple(channels_last(value) for value in inputs)

    def depending(self, changed: Iterable[str]) -> set[str]:
        """Return the values that change with these parameters."""
        return self._reached(self._places(changed))

    def constants(
        self, values: Mapping[str, Tensor], known: Mapping[str, Tensor] | None = None, changed: Iterable[str] = ()
    ) -> dict[str, Tensor]:
        """Return everything that depends on parameters alone, by node.

        Args:
            values: Parameters and buffers by name.
            known: What was returned for other values.
            changed: Names in which `values` differs from those; only what depends on them is computed again.
        """
        values_by_node: dict[str, Any] = dict(known or {})
        again = None if known is None else self.depending(changed)
        for name, node in self._nodes.items():
            if name in self._fed or (again is not None and name not in again):
                continue
            if node.op == "placeholder":
                values_by_node[name] = values[self.stored[name]] if name in self.stored else self._lifted.get(name)
            elif node.op == "get_attr":
                values_by_node[name] = getattr(self._owner, str(node.target))
            elif node.op == "call_function":
                args, kwargs = torch.fx.node.map_arg((node.args, node.kwargs), lambda other: values_by_node[other.name])
                values_by_node[name] = node.target(*args, **kwargs)  # type: ignore[operator]  # call_function: a callable
        return values_by_node

    def border(self, changed: Iterable[str]) -> Border:
        """Return the values that a change of these parameters leaves as they were and that the rest needs.

        Each has one row for each sample. Where nothing changed, it is the output.
        """
        again = self.depending(changed)
        if self.output not in again:
            return (self.output,)
        crossing: list[str] = []
        queue, seen = [self.output], {self.output}
        while queue:
            for node in self._nodes[queue.pop()].all_input_nodes:
                if node.name in seen or node.name not in self._fed:
                    continue
                seen.add(node.name)
                if node.name in again or not self._has_rows(node):
                    if not self._is_batch(node):
                        queue.append(node.name)
                else:
                    crossing.append(node.name)
        return tuple(sorted(crossing, key=self._order.__getitem__))

    def waist(self, share: float) -> Border | None:
        """Return the border of one small value that is closest behind this share of the model's operators."""
        reaches = [name for name in self._order if name in self._fed and self._has_rows(self._nodes[name])]
        # Not through `suffices`, which remembers what it found: here that would be every node's way to the end.
        spots = [name for name in reaches if name not in self.inputs and self._walk((name,), (self.output,))]
        behind = [name for name in spots if reaches.index(name) >= share * len(reaches) and name != self.output]
        # A wide value close by may be far smaller a few operators later, such as after a stride.
        near = [name for name in behind if reaches.index(name) <= (share + WAIST_REACH) * len(reaches)]
        return (min(near, key=self.row_bytes),) if near else None

    def row_bytes(self, name: str) -> int:
        """Return the bytes of a value for one sample."""
        value = self._nodes[name].meta["val"]
        sizes = [int(size) if isinstance(size, int) else int(size.node.hint or 1) for size in value.shape[1:]]
        return math.prod(sizes) * int(value.element_size())

    def pass_bytes(self) -> int:
        """Return the bytes for one sample that a pass may need at once, roughly: its widest values."""
        widest = [self.row_bytes(name) for name in self._fed if self._has_rows(self._nodes[name])]
        return sum(sorted(widest)[-WIDEST:])

    def suffices(self, start: Border, end: Border) -> bool:
        """Return whether `end` can be computed from `start` and parameters alone."""
        return self._between(start, end) is not None

    def steps(self, start: Border, end: Border) -> int:
        """Return how many operators lie between; a rough measure of work."""
        return len(self._between(start, end) or ())

    def run(
        self, start: Border, end: Border, values: Sequence[Tensor], constants: Mapping[str, Tensor]
    ) -> tuple[Tensor, ...]:
        """Return the values at `end`, from those at `start`, for any number of samples."""
        key = (start, end)
        if key not in self._segments:
            self._segments[key] = self._compile(start, end)
        segment, wanted = self._segments[key]
        return tuple(segment(*values, *(constants[name] for name in wanted)))

    def _places(self, changed: Iterable[str]) -> list[str]:
        names = set(changed)
        return [place for place, name in self.stored.items() if name in names]

    def _reached(self, places: Iterable[str]) -> set[str]:
        """Return these nodes and all that depend on them."""
        reached = set(places)
        for name, node in self._nodes.items():
            if any(other.name in reached for other in node.all_input_nodes):
                reached.add(name)
        return reached

    def _has_rows(self, node: Node) -> bool:
        value = node.meta.get("val")
        return isinstance(value, Tensor) and value.dim() > 0 and self._is_symbol(value.shape[0])

    def _is_batch(self, node: Node) -> bool:
        return self._is_symbol(node.meta.get("val"))

    def _is_symbol(self, size: Any) -> bool:
        return isinstance(size, torch.SymInt) and size.node.expr == self._batch

    def _between(self, start: Border, end: Border) -> set[str] | None:
        """Return the fed nodes from `start` to `end`, both included; None if something before `start` is needed."""
        if (start, end) not in self._ways:
            self._ways[start, end] = self._walk(start, end)
        return self._ways[start, end]

    def _walk(self, start: Border, end: Border) -> set[str] | None:
        before, after = set(start), set(end)
        queue = [name for name in end if name not in before]
        while queue:
            node = self._nodes[queue.pop()]
            if node.op == "placeholder":
                return None
            if self._is_batch(node):
                continue
            for other in node.all_input_nodes:
                if other.name in self._fed and other.name not in after:
                    after.add(other.name)
                    if other.name not in before:
                        queue.append(other.name)
        return after | before

    def _compile(self, start: Border, end: Border) -> tuple[Segment, tuple[str, ...]]:
        inside = self._between(start, end)
        if inside is None:
            raise WorkbenchError(f"{', '.join(end)} cannot be computed from {', '.join(start)}")
        graph, copied = Graph(), dict[Node, Node]()
        for name in start:
            copied[self._nodes[name]] = graph.placeholder(name)
        entering = copied[self._nodes[start[0]]]
        body = [node for name, node in self._nodes.items() if name in inside and name not in start]
        wanted = tuple(dict.fromkeys(_parameters(body, self._fed, self._is_batch)))
        for name in wanted:
            copied[self._nodes[name]] = graph.placeholder(name)
        for node in body:
            if self._is_batch(node):
                copied[node] = graph.call_function(torch.ops.aten.sym_size.int, (entering, 0))
            else:
                copied[node] = graph.node_copy(node, lambda other: copied[other])
        graph.output(tuple(copied[self._nodes[name]] for name in end))
        return GraphModule(nn.Module(), graph), wanted


def _parameters(body: Iterable[Node], fed: set[str], skipped: Callable[[Node], bool]) -> Iterator[str]:
    for node in body:
        if not skipped(node):
            yield from (other.name for other in node.all_input_nodes if other.name not in fed)
