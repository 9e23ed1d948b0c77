"""What a graph would allocate, known before anything is: one run on tensors without memory."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.fx import Graph, Node
from torch.fx.node import map_arg
from torch.utils._python_dispatch import TorchDispatchMode

from workbench.errors import WorkbenchError, first_line
from workbench.graph.reader.limits import (
    CONSTANT_BYTES,
    CONSTANT_FACTOR,
    DIMENSIONS,
    INPUT_BYTES,
    INPUT_ROOM,
    LIST,
    MIB,
    TENSOR_BYTES,
    TENSOR_FACTOR,
    TOTAL_BYTES,
    TOTAL_FACTOR,
)
from workbench.graph.reader.operators import Operator, operators


def check_budget(graph: Graph, entering: Mapping[Node, Tensor]) -> None:
    """Run a graph on tensors without memory, and leave each node's result in its `meta["val"]`.

    Args:
        graph: Only operators of the list.
        entering: Tensors without memory for inputs (the example's sizes) and for what the model holds.

    Raises:
        WorkbenchError: An operator does not take what it is given, or the graph asks for more memory than its
            inputs and weights justify.
    """
    inputs = sum(_bytes(value) for node, value in entering.items() if node.op == "placeholder")
    if inputs > INPUT_BYTES:
        raise WorkbenchError(f"the graph's example inputs take {inputs // MIB} MiB; {INPUT_BYTES // MIB} may be")
    held = sum(_bytes(value) for node, value in entering.items() if node.op == "get_attr")
    meter = _Meter(held + min(inputs, INPUT_ROOM))
    table = operators()
    with torch.no_grad(), meter:
        for node in graph.nodes:
            if node in entering:
                node.meta["val"] = entering[node]
            elif node.op == "call_function":
                known = table.get(node.meta["operator"])
                meter.constant = known is not None and known.constant
                node.meta["val"] = _run(node, known)


def _bytes(value: Tensor) -> int:
    return math.prod(value.shape) * value.dtype.itemsize


def _run(node: Node, known: Operator | None) -> Any:
    args, kwargs = map_arg((node.args, node.kwargs), lambda other: other.meta["val"])
    target: Any = node.target
    if known is not None:
        _check_parts(node, known, args)
        args, kwargs = _without_memory(known, args, kwargs)
    try:
        results = target(*args, **kwargs)
    except WorkbenchError:
        raise
    except Exception as error:  # whatever kernels raise at what they do not take
        name = node.meta["operator"] or "an operator with several results"
        raise WorkbenchError(f"the graph calls {name}, which fails: {first_line(error)[:200]}") from error
    expected = node.meta.get("outputs")
    count = len(results) if isinstance(results, list | tuple) else None
    if node.target is not operator.getitem and count != expected:
        raise WorkbenchError(f"the graph takes {expected} results of {node.meta['operator']}, which gives {count}")
    return results


def _without_memory(known: Operator, args: Any, kwargs: Any) -> tuple[Any, Any]:
    """Return the arguments with every device replaced by the one whose tensors take no memory."""
    device = torch.device("meta")
    args = [device if isinstance(value, torch.device) else value for value in args]
    kwargs = {name: device if isinstance(value, torch.device) else value for name, value in kwargs.items()}
    made_of_nothing = not any(str(argument.real_type).count("Tensor") for argument in known.schema.arguments)
    if made_of_nothing and any(argument.name == "device" for argument in known.schema.arguments):
        kwargs["device"] = device
    return args, kwargs


def _check_parts(node: Node, known: Operator, args: Any) -> None:
    """Refuse to take a tensor into more parts than the graph names: even without memory each is an object."""
    returned = known.schema.returns
    if not args or str(returned[0].type if returned else "") != "List[Tensor]" or not isinstance(args[0], Tensor):
        return
    name = node.meta["operator"].removeprefix("torch.ops.aten.").partition(".")[0]
    source, expected = args[0], node.meta.get("outputs") or 0
    dim = next((argument for argument in args[(1 if name == "unbind" else 2) :] if type(argument) is int), 0)
    length = source.shape[dim] if -source.dim() <= dim < source.dim() else 0
    count = length
    if name in ("split", "unsafe_split", "chunk", "unsafe_chunk", "tensor_split") and type(args[1]) is int:
        by_size = "split" in name and name != "tensor_split"
        count = math.ceil(length / max(args[1], 1)) if by_size else min(args[1], LIST + 1)
    elif name != "unbind":
        return
    if count > max(LIST, 0) or (name == "unbind" and count != expected):
        raise WorkbenchError(f"the graph takes a tensor into {count} parts and names {expected}")


class _Meter(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's own hook for subclasses
    """Counts what is allocated, inside of operators too.

    Attributes:
        constant: Whether what runs makes a tensor of numbers alone.
    """

    def __init__(self, room: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # as above
        self.constant = False
        self._constants = self._total = 0
        self._most_constant = CONSTANT_BYTES + CONSTANT_FACTOR * room
        self._most_one = TENSOR_BYTES + TENSOR_FACTOR * room
        self._most = TOTAL_BYTES + TOTAL_FACTOR * room

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        results = func(*args, **(kwargs or {}))
        for value in results if isinstance(results, list | tuple) else (results,):
            if isinstance(value, Tensor):
                self._count(value)
        return results

    def _count(self, value: Tensor) -> None:
        if value.dim() > DIMENSIONS:
            raise WorkbenchError(f"the graph makes a tensor of {value.dim()} dimensions; {DIMENSIONS} may be")
        # A view takes no memory, but whatever is computed of it does, and takes the time.
        size = _bytes(value)
        self._total += size
        self._constants += size if self.constant else 0
        for used, most, what in (
            (self._constants, self._most_constant, "constants"),
            (size, self._most_one, "one tensor"),
            (self._total, self._most, "all that it computes"),
        ):
            if used > most:
                raise WorkbenchError(
                    f"the graph asks for {used / MIB:,.0f} MiB for {what}; beside inputs and weights of this size "
                    f"{most // MIB:,} MiB may be"
                )
