"""A walk over the traced graph that labels every tensor."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind
from torch.fx import Node
from torch.fx.node import map_arg

from workbench.graph.flow import Call, Dims, Labelled, Roles, Splits
from workbench.graph.labels import Labels, Reason
from workbench.graph.rules import RULES, opaque

IGNORED = ("_assert", "sym_", "_guard")


class Walk:
    """The labels of all parameters of a model, after every operator of its graph has coupled what it must.

    Attributes:
        labels: All couplings.
        parameters: The labelled parameters and buffers by name; tied ones are there once.
        roles: Which of their dimensions belong to layers.
        splits: Which of their dimensions are taken apart.
        values: The labels of every tensor in the graph.
    """

    def __init__(self, program: ExportedProgram, model: nn.Module, splits: Splits) -> None:
        self.labels, self.roles, self.splits = Labels(), Roles(), splits
        self.parameters: dict[str, Labelled] = {}
        self._names = canonical_names(model)
        self._inputs = {spec.arg.name: spec for spec in program.graph_signature.input_specs}
        self.values: dict[Node, Any] = {}
        for node in program.graph.nodes:
            self.values[node] = self._visit(node)

    def _visit(self, node: Node) -> Any:
        value = node.meta.get("val")
        if node.op == "placeholder":
            return self._placeholder(node, value)
        if node.op == "output":
            return self._output(node)
        if node.op != "call_function":
            return None
        if node.target is operator.getitem:
            source: Any = self.values[node.all_input_nodes[0]]
            number: Any = node.args[1]
            return source[number] if isinstance(source, list) else None
        tensors = [value] if isinstance(value, Tensor) else _tensors(value)
        if not tensors and not any(isinstance(self.values[n], (Labelled, list)) for n in node.all_input_nodes):
            return _size(value)
        name = operator_name(node.target)
        if not tensors and name.startswith(IGNORED):
            return _size(value)
        results = self._call(node, name, tuple(tuple(map(_size, tensor.shape)) for tensor in tensors))
        return results[0] if isinstance(value, Tensor) else results

    def _placeholder(self, node: Node, value: Any) -> Any:
        spec = self._inputs[node.name]
        if not isinstance(value, Tensor):
            return _size(value)
        shape = tuple(map(_size, value.shape))
        if spec.kind in (InputKind.PARAMETER, InputKind.BUFFER) and spec.target in self._names:
            name = self._names[spec.target]
            if name not in self.parameters:
                self.parameters[name] = Labelled(tuple(map(self.labels.fresh, shape)), name)
            return self.parameters[name]
        why = "tied to the model's input" if spec.kind is InputKind.USER_INPUT else "tied to a constant tensor"
        return Labelled(tuple(self.labels.constant(Reason(why), size) for size in shape))

    def _output(self, node: Node) -> None:
        for source in node.all_input_nodes:
            value = self.values[source]
            for tensor in value if isinstance(value, list) else [value]:
                for labels in tensor.dims if isinstance(tensor, Labelled) else ():
                    self.labels.fix(labels, Reason("reaches the model's output"))

    def _call(self, node: Node, name: str, shapes: tuple[tuple[int, ...], ...]) -> list[Labelled]:
        place = module_of(node)
        call = Call(
            name,
            place or "the top level",
            self._arguments(node),
            shapes,
            self.labels,
            self._owner,
            self.roles,
            node.name,
            self.splits,
            _normalises(node),
        )
        try:
            results = _listed(RULES.get(name, opaque)(call))
            fits = tuple(tuple(map(len, dims)) for dims in results) == shapes
        except (ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError):
            # The operator was called in a form that its rule does not know.
            fits = False
        if not fits:
            results = _listed(opaque(call))
        return [_turned(call, dims) for dims in results] if name in TURNING else [Labelled(dims) for dims in results]

    def _arguments(self, node: Node) -> dict[str, Any]:
        args, kwargs = map_arg((node.args, node.kwargs), lambda other: self.values[other])
        if not isinstance(node.target, torch._ops.OpOverload):
            return {**{str(number): value for number, value in enumerate(args)}, **kwargs}
        schema = node.target._schema.arguments
        arguments = {argument.name: argument.default_value for argument in schema if argument.has_default_value()}
        arguments.update(zip((argument.name for argument in schema), args, strict=False))
        return {**arguments, **kwargs}

    def _owner(self, parameter: str, place: str) -> str:
        """Return the layer that uses a parameter; a tied one has several, a lone one is its own."""
        owners = [name.rpartition(".")[0] for name, first in self._names.items() if first == parameter]
        return place if place in owners else owners[0] or parameter


# Of a parameter these make the same parameter with its dimensions in another order, as in `x @ layer.weight.T`.
TURNING = ("t", "transpose", "swapaxes", "swapdims", "numpy_T", "mT", "permute", "detach", "alias", "contiguous")


def _turned(call: Call, dims: Dims) -> Labelled:
    source = call.tensors()[0]
    places = [source.place(dim) for one in dims for dim, labels in enumerate(source.dims) if labels is one]
    axes = tuple(place[1] for place in places if place is not None)
    return Labelled(dims, source.parameter, axes) if len(axes) == len(dims) else Labelled(dims)


STATISTICS = ("mean", "var", "std", "var_mean", "std_mean")
# What stands between a statistic and the division by it.
BETWEEN = ("add", "rsqrt", "sqrt", "pow", "reciprocal", "to", "_to_copy", "type_as", "clamp", "clamp_min", "getitem")


def _normalises(node: Node) -> bool:
    """Return whether a norm written by hand takes this mean: all channels are divided by it, or have it taken off."""
    if operator_name(node.target) not in STATISTICS:
        return False
    pending, seen = [node], set[Node]()
    while pending:
        source = pending.pop()
        for user in source.users:
            name = operator_name(user.target)
            width, own = (_shape(one) for one in (user, source))
            if name in ("mul", "div", "sub") and width and own and len(width) == len(own) and width != own:
                continue
            if name not in BETWEEN:
                return False
            if user not in seen:
                seen.add(user)
                pending.append(user)
    return True


def _shape(node: Node) -> tuple[Any, ...]:
    value = node.meta.get("val")
    value = value[0] if isinstance(value, tuple | list) and value else value
    return tuple(value.shape) if isinstance(value, Tensor) else ()


def walked(program: ExportedProgram, model: nn.Module) -> Walk:
    """Return the walk over a traced graph that knows where attention heads are."""
    first = Walk(program, model, Splits())
    return (
        Walk(program, model, Splits(first.splits.head_axes(first.labels.classes()))) if first.splits.outputs else first
    )


def canonical_names(model: nn.Module) -> dict[str, str]:
    """Return for every parameter and buffer the name under which the same tensor is found first."""
    first: dict[int, str] = {}
    names: dict[str, str] = {}
    for stored in (
        model.named_parameters(remove_duplicate=False),
        model.named_buffers(remove_duplicate=False),
    ):
        for name, tensor in stored:
            names[name] = first.setdefault(id(tensor), name)
    return names


def module_of(node: Node) -> str:
    """Return the path of the innermost module that made the call, "" for the model itself."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    path = str(stack[-1][0]) if stack else ""
    return "" if path.startswith("_empty") else path.partition("@")[0]


def operator_name(target: Any) -> str:
    """Return an operator's name as `aten` has it, without the underscore of the in-place form."""
    if isinstance(target, torch._ops.OpOverload):
        name = target._schema.name
        namespace, _, short = name.partition("::")
        return short.rstrip("_") if namespace == "aten" else name
    return str(getattr(target, "__name__", target))


def _listed(result: Dims | list[Dims]) -> list[Dims]:
    return result if isinstance(result, list) else [result]


def _tensors(value: Any) -> list[Tensor]:
    return [item for item in value if isinstance(item, Tensor)] if isinstance(value, Iterable) else []


def _size(value: Any) -> Any:
    """Return the example's size for a symbolic one; a size that depends on data counts as zero."""
    if isinstance(value, torch.SymInt):
        hint = value.node.hint
        return 0 if hint is None else int(hint)
    return value
