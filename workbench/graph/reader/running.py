"""A module that runs a graph node by node. No source is generated for it, so none can be made of what a file says."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.fx import Graph, Node

from workbench.errors import WorkbenchError
from workbench.graph.reader.operators import ARITHMETIC, operators


@dataclass(frozen=True)
class Slot:
    """The place of a value among those of one run."""

    number: int


@dataclass(frozen=True)
class Step:
    """One node.

    Attributes:
        kind: "tensor" (one that the model holds), "layer" (a module), "operator", "number" or "part" (of several
            results).
        target: The tensor's or layer's path, or the operator's name on the list.
        args: Numbers and the like, `Slot`s, and lists of these.
        named: The same, by name.
        slot: Where the result goes.
        spent: Slots that nobody reads after this.
    """

    kind: str
    target: str
    args: tuple[Any, ...]
    named: Mapping[str, Any]
    slot: int
    spent: tuple[int, ...]


@dataclass(frozen=True)
class Steps:
    """A graph to be run; plain and never changed, so copies of a module share it.

    Attributes:
        inputs: How many; they are in the first slots.
        steps: In order.
        output: As `Step.args`.
        size: How many slots there are.
    """

    inputs: int
    steps: tuple[Step, ...]
    output: Any
    size: int

    def __deepcopy__(self, memo: Mapping[int, Any]) -> Self:
        return self


class ProgramModule(nn.Module):
    """A model read back from a file: layers and tensors under their names, run in the order of its graph."""

    takes_its_inputs_flat = True
    _steps: Steps

    def __init__(self, root: nn.Module, graph: Graph) -> None:
        super().__init__()
        for name, module in root._modules.items():
            self.add_module(name, module)
        for name, parameter in root._parameters.items():
            self.register_parameter(name, parameter)
        for name, buffer in root._buffers.items():
            self.register_buffer(name, buffer, persistent=name not in root._non_persistent_buffers_set)
        self._steps = plan(graph)

    # Named one by one, because tracing counts the inputs of a signature.
    def forward(
        self, x: Tensor,
        x1: Any = None, x2: Any = None, x3: Any = None, x4: Any = None, x5: Any = None, x6: Any = None, x7: Any = None,
        x8: Any = None, x9: Any = None, x10: Any = None, x11: Any = None, x12: Any = None, x13: Any = None,
        x14: Any = None, x15: Any = None,
    ) -> Any:  # fmt: skip
        arguments = (x, x1, x2, x3, x4, x5, x6, x7, x8, x9, x10, x11, x12, x13, x14, x15)
        inputs = self._steps.inputs
        if any(value is None for value in arguments[:inputs]) or any(value is not None for value in arguments[inputs:]):
            raise TypeError(f"the model takes {inputs} inputs")
        return self._run(arguments[:inputs])

    def on_device(self, device: torch.device) -> None:
        """Make tensors on a device from now on; who moves the module's own calls it."""
        self._steps = replace(self._steps, steps=tuple(_placed(step, device) for step in self._steps.steps))

    def _run(self, inputs: tuple[Tensor, ...]) -> Any:
        values: list[Any] = [*inputs, *(None for _ in range(self._steps.size - len(inputs)))]
        for step in self._steps.steps:
            if step.kind == "tensor":
                values[step.slot] = self._tensor(step.target)
            else:
                args = [_filled(value, values) for value in step.args]
                named = {name: _filled(value, values) for name, value in step.named.items()} if step.named else {}
                values[step.slot] = self._callable(step)(*args, **named)
            for slot in step.spent:
                values[slot] = None
        output = _filled(self._steps.output, values)
        return tuple(output) if type(output) is list else output

    def _tensor(self, path: str) -> Any:
        *places, name = path.split(".")
        holder = self._module(places)
        parameter = holder._parameters.get(name)
        return holder._buffers[name] if parameter is None else parameter

    def _module(self, places: list[str]) -> nn.Module:
        """Return a submodule, looked up at each call: steps and overlays put others in its place."""
        module: Any = self
        for place in places:
            module = module._modules[place]
        return module  # type: ignore[no-any-return]  # a module, or nothing was put there

    def _callable(self, step: Step) -> Callable[..., Any]:
        if step.kind == "layer":
            return self._module(step.target.split("."))
        if step.kind == "part":
            return operator.getitem
        function: Callable[..., Any] = (
            ARITHMETIC[step.target] if step.kind == "number" else operators()[step.target].call
        )
        return function


def _placed(step: Step, device: torch.device) -> Step:
    def place(value: Any) -> Any:
        if isinstance(value, list):
            return [place(element) for element in value]
        return device if isinstance(value, torch.device) else value

    named = {name: place(value) for name, value in step.named.items()}
    return replace(step, args=tuple(place(value) for value in step.args), named=named)


def _filled(value: Any, values: list[Any]) -> Any:
    # By exact types, which is quicker: this is done for every argument of every node.
    if type(value) is Slot:
        return values[value.number]
    return [_filled(element, values) for element in value] if type(value) is list else value


def plan(graph: Graph) -> Steps:
    """Return the steps of a graph of layers, operators and stored tensors."""
    nodes = list(graph.nodes)
    first = [node for node in nodes if node.op == "placeholder"]
    slots = {node: place for place, node in enumerate((*first, *(node for node in nodes if node.op != "placeholder")))}
    last: dict[Node, Node] = {}
    for node in nodes:
        last.update(dict.fromkeys(node.all_input_nodes, node))
    steps: list[Step] = []
    output: Any = None
    for node in nodes:
        if node.op == "output":
            output = _slotted(node.args[0], slots)
        elif node.op != "placeholder":
            spent = tuple(slots[source] for source in node.all_input_nodes if last[source] is node)
            named = {name: _slotted(value, slots) for name, value in node.kwargs.items()}
            args = tuple(_slotted(value, slots) for value in node.args)
            steps.append(Step(*_what(node), args, named, slots[node], spent))
    return Steps(len(first), tuple(steps), output, len(slots))


def _what(node: Node) -> tuple[str, str]:
    """Return kind and target of a node's step."""
    if node.op == "get_attr":
        return "tensor", str(node.target)
    if node.op == "call_module":
        return "layer", str(node.target)
    name = node.meta.get("operator", "")
    if node.target is operator.getitem:
        return "part", ""
    if name in ARITHMETIC:
        return "number", name
    if name in operators():
        return "operator", name
    raise WorkbenchError(f"the graph holds a node {node.name} that cannot be run")


def _slotted(value: Any, slots: Mapping[Node, int]) -> Any:
    if isinstance(value, Node):
        return Slot(slots[value])
    if isinstance(value, tuple) and not value:
        return []
    if isinstance(value, list | tuple):
        return [_slotted(element, slots) for element in value]
    return value
