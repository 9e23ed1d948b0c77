"""The records of a program as a graph of operators, and its tensors as a tree of modules."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Graph, Node

from workbench.errors import WorkbenchError, shown
from workbench.graph.reader.arguments import bound, operands
from workbench.graph.reader.catalogue import DROPPED
from workbench.graph.reader.fields import Ref
from workbench.graph.reader.names import plain_names
from workbench.graph.reader.operators import ARITHMETIC, Operator, operators
from workbench.graph.reader.records import Call, Program


def modules(program: Program, tensors: Mapping[str, Tensor]) -> tuple[nn.Module, dict[str, str]]:
    """Return modules that hold the tensors, and for each name in the file the one it has there.

    Raises:
        WorkbenchError: A tensor is missing, or is not what the program says of it.
    """
    names = [stored.name for stored in program.stored]
    if len(set(names)) != len(names):
        raise WorkbenchError("the graph names one of its tensors twice")
    plain = plain_names(names)
    root = nn.Module()
    parameters: dict[str, nn.Parameter] = {}
    for stored in program.stored:
        # A file holds tied tensors once, under their first name.
        first = program.aliases.get(stored.name, stored.name)
        source = program.constants if stored.constant else tensors
        if first not in source:
            raise WorkbenchError(f"the graph wants the tensor {shown(first)}, which is not in the file")
        value, facts = source[first], program.tensors[stored.value]
        if tuple(value.shape) != facts.shape or value.dtype != facts.dtype:
            raise WorkbenchError(
                f"the graph wants {shown(stored.name)} as {facts.dtype} of {facts.shape}, "
                f"the file has {value.dtype} of {tuple(value.shape)}"
            )
        path, _, leaf = plain[stored.name].rpartition(".")
        holder = _holder(root, path)
        if stored.parameter:
            known = parameters.setdefault(first, nn.Parameter(value, value.is_floating_point()))
            holder.register_parameter(leaf, known)
        else:
            holder.register_buffer(leaf, value, persistent=not stored.constant)
    return root, plain


def _holder(root: nn.Module, path: str) -> nn.Module:
    holder = root
    for part in path.split(".") if path else ():
        if part not in holder._modules:
            holder.add_module(part, nn.Module())
        holder = holder.get_submodule(part)
    return holder


class Builder:
    """Builds the graph node by node. Nothing that the file says becomes the name of anything in it.

    Attributes:
        graph: Inputs, stored tensors, operators, an output.
        entering: Nodes of inputs and stored tensors, and the name that the file has for each.
    """

    def __init__(self, program: Program, root: nn.Module, plain: Mapping[str, str]) -> None:
        self.graph = Graph(owning_module=root)  # type: ignore[arg-type]  # only asked for its modules and tensors
        self._tensors = program.tensors
        self.entering: list[tuple[Node, str]] = []
        self._known: dict[str, Node] = {}
        self._kinds: dict[str, str] = {}
        for name in program.inputs:
            node = self.graph.placeholder(f"input_{len(self.entering)}")
            self.entering.append((node, name))
            self._add(name, node, "tensor")
        for stored in program.stored:
            node = self.graph.create_node("get_attr", plain[stored.name])
            self.entering.append((node, stored.value))
            self._add(stored.value, node, "tensor")
        table = operators()
        for call in program.calls:
            if call.target in DROPPED:
                continue
            if call.target in ARITHMETIC:
                self._arithmetic(call)
            elif call.target in table:
                self._operator(call, table[call.target])
            else:
                raise WorkbenchError(f"the graph asks for {shown(call.target)!r}, which a program may not")
        handed = [self._resolved(value) for value in program.outputs]
        self.graph.output(handed[0] if len(handed) == 1 else tuple(handed))

    def example(self, name: str) -> Tensor:
        """Return a tensor without memory, as an input of the example or a stored tensor is."""
        facts = self._tensors[name]
        return torch.empty(facts.shape, dtype=facts.dtype, device="meta")

    def _add(self, name: str, node: Node, kind: str) -> None:
        if name in self._known:
            raise WorkbenchError(f"the graph gives the name {name[:80]!r} to two values")
        self._known[name], self._kinds[name] = node, kind

    def _resolved(self, value: Any) -> Any:
        """Return a value with nodes in place of `Ref`s; only what came before is known."""
        if isinstance(value, Ref):
            if value.name not in self._known:
                raise WorkbenchError(f"the graph reads {value.name[:80]!r} before it is computed")
            return self._known[value.name]
        if isinstance(value, list | tuple):
            return [self._resolved(element) for element in value]
        return value

    def _check_order(self, call: Call) -> None:
        for _, value, _ in call.arguments:
            self._resolved(value)

    def _arithmetic(self, call: Call) -> None:
        self._check_order(call)
        numbers = tuple(self._resolved(value) for value in operands(call, self._kinds))
        self._outputs(call, self._call(ARITHMETIC[call.target], numbers, {}), "number")

    def _operator(self, call: Call, known: Operator) -> None:
        self._check_order(call)
        positional, named = bound(call, known, self._kinds)
        kind = "number" if call.target.startswith("torch.ops.aten.sym_") else "tensor"
        args = tuple(self._resolved(value) for value in positional)
        kwargs = {name: self._resolved(value) for name, value in named.items()}
        self._outputs(call, self._call(known.call, args, kwargs), kind)

    def _call(self, target: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Node:
        return self.graph.call_function(target, args, kwargs)

    def _outputs(self, call: Call, node: Node, kind: str) -> None:
        node.meta["outputs"] = call.outputs if isinstance(call.outputs, str) else len(call.outputs)
        node.meta["operator"] = call.target
        if isinstance(call.outputs, str):
            node.meta["outputs"] = None
            self._add(call.outputs, node, kind)
            return
        for number, name in enumerate(call.outputs):
            part = self.graph.call_function(operator.getitem, (node, number))
            part.meta["operator"] = ""
            self._add(name, part, kind)
