"""Layers as modules again, in a graph that only knows operators.

A program read back from text calls `conv2d(x, weight, bias, ...)`. Everything else here works on modules: layer
facts, hooks for quantizers, cutting. So each operator with parameters becomes the module it once was, at the
place where its parameters are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.fx import Graph, GraphModule, Node
from torch.fx.graph import CodeGen

from workbench.graph.own_names import read_by_own_names
from workbench.graph.walk import canonical_names, module_of
from workbench.model.quantizer import quantizer_at
from workbench.task.batch import feeds_of, flat, mark_feeds

aten = torch.ops.aten


def as_module(program: ExportedProgram, model: nn.Module) -> GraphModule:
    """Return a traced model as a module made of its graph, with the model's own parameters under their names.

    Args:
        program: The model's graph, in nobody else's hands; operators may have been edited.
        model: What it was traced from.
    """
    read_by_own_names(program, model)
    graph = program.module(check_guards=False)
    _dropouts(graph, model)
    graph_module = with_modules(graph)
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    first = canonical_names(model)
    for path, module in graph_module.named_modules():
        for store in (module._parameters, module._buffers):
            for name in store:
                full = f"{path}.{name}" if path else name
                if full in first:
                    store[name] = tensors[first[full]]
    mark_feeds(graph_module, feeds_of(model))
    return graph_module


def _dropouts(graph: GraphModule, model: nn.Module) -> None:
    """Make dropouts modules again, in place, since as operators traced for evaluation they would never drop."""
    modules = dict(model.named_modules())
    for node in list(graph.graph.nodes):
        place = module_of(node)
        if node.target is aten.dropout.default and isinstance(modules.get(place), nn.Dropout):
            graph.add_submodule(place, nn.Dropout(node.args[1]).eval())
            with graph.graph.inserting_before(node):
                call = graph.graph.call_module(place, (node.args[0],))
            call.meta = dict(node.meta)
            node.replace_all_uses_with(call)
            graph.graph.erase_node(node)


def with_modules(graph: GraphModule) -> GraphModule:
    """Return the graph with convolutions, linear layers, embeddings, norms and quantizers as modules."""
    modules_again(graph, graph.graph)
    return _bare(graph)


def modules_again(root: nn.Module, graph: Graph) -> None:
    """Make operators of a graph modules again, in place, at the places in `root` where their parameters are.

    Args:
        root: Holds the tensors that the graph reads.
        graph: Belongs to it.
    """
    for node in list(graph.nodes):
        if (quantizer := quantizer_at(node)) is not None:
            _replace(root, graph, node, *quantizer)
            continue
        make = MAKERS.get(node.target) if node.op == "call_function" else None
        # An embedding's table comes before what is looked up in it.
        entering = node.args[1 if node.target is aten.embedding.default else 0] if make is not None else None
        owner = _place(node, entering) if make is not None else None
        if make is None or owner is None:
            continue
        try:
            module = make(_given(node, root))
        except (ArithmeticError, AssertionError, AttributeError, RuntimeError, TypeError, ValueError):
            continue  # an unusual form of the operator stays an operator
        if not _is_whole(module, root.get_submodule(owner), node, entering):
            continue
        _replace(root, graph, node, entering, owner, module)
    graph.eliminate_dead_code()


def _bare(graph: GraphModule) -> GraphModule:
    """Return the graph without the exporter's wrapping: tensors in by position, one tensor or a tuple out."""
    graph.graph.set_codegen(CodeGen())
    (output,) = (node for node in graph.graph.nodes if node.op == "output")
    (values,) = output.args
    if isinstance(values, tuple | list) and len(values) == 1:
        output.args = (values[0],)
    module = GraphModule(graph, graph.graph)
    flat(module)
    return module


def _replace(root: nn.Module, graph: Graph, node: Node, source: Any, place: str, module: nn.Module) -> None:
    _own(module, root.get_submodule(place))
    parent, _, name = place.rpartition(".")
    setattr(root.get_submodule(parent), name, module)
    with graph.inserting_before(node):
        call = graph.call_module(place, (source,))
    call.meta = dict(node.meta)
    node.replace_all_uses_with(call)
    graph.erase_node(node)


def _given(node: Node, owner: nn.Module) -> dict[str, Any]:
    """Return the operator's arguments by name, with tensors in place of what reads them."""
    schema = node.target._schema.arguments  # type: ignore[union-attr]  # an ATen operator has one
    values = {argument.name: argument.default_value for argument in schema if argument.has_default_value()}
    values |= dict(zip((argument.name for argument in schema), node.args, strict=False)) | node.kwargs

    def read(value: Any) -> Any:
        if isinstance(value, Node):
            return _attribute(owner, value.target) if value.op == "get_attr" else None
        return value

    return {name: read(value) for name, value in values.items()}


def _attribute(owner: Any, target: Any) -> Tensor:
    for part in str(target).split("."):
        owner = getattr(owner, part)
    return owner  # type: ignore[no-any-return]  # the end of a get_attr is a tensor


def _place(node: Node, source: Any) -> str | None:
    """Return where the module was: the owner of its parameters, if all of them have one and no one else reads them."""
    arguments = (*node.args, *node.kwargs.values())
    tensors = [
        value for value in arguments if isinstance(value, Node) and value.op == "get_attr" and value is not source
    ]
    owners = {str(value.target).rpartition(".")[0] for value in tensors}
    names = {str(value.target).rpartition(".")[2] for value in tensors}
    known = {"weight", "bias", "running_mean", "running_var"}
    if len(owners) != 1 or "" in owners or not names <= known or any(len(_readers(value)) > 1 for value in tensors):
        return None
    return owners.pop()


def _readers(value: Node) -> list[Node]:
    """Return what reads a tensor's values; who only asks for its size leaves them to a module."""
    return [user for user in value.users if user.target is not aten.sym_size.int]


def _is_whole(module: nn.Module, holder: nn.Module, node: Node, source: Any) -> bool:
    """Whether a module would hold the tensors that the operator reads and the holder has, no others and no fewer."""
    tensors = [value for value in node.all_input_nodes if value is not source]
    if any(value.op != "get_attr" for value in tensors):
        return False  # such as a bias that is computed, which a layer without one would leave out
    read = {str(value.target).rpartition(".")[2] for value in tensors}
    names = {"num_batches_tracked"}
    held, holds = (
        {name for store in (one._parameters, one._buffers) for name, value in store.items() if value is not None}
        - names
        for one in (holder, module)
    )
    return read == held == holds and not any(hasattr(module, name) for name in holder._modules)


def _own(module: nn.Module, holder: nn.Module) -> None:
    """Give the module the holder's tensors themselves, and what else hangs on the holder."""
    for name, parameter in holder._parameters.items():
        if name in module._parameters:
            module._parameters[name] = parameter
    for name, buffer in holder._buffers.items():
        if name in module._buffers or name == "num_batches_tracked":
            module.register_buffer(name, buffer)
    for name, inner in holder._modules.items():
        module.add_module(name, inner)
    module.eval()


def _convolution(base: Callable[..., nn.Module], transposed: bool) -> Callable[..., nn.Module]:
    def make(given: dict[str, Any]) -> nn.Module:
        weight, groups = given["weight"], given["groups"]
        inside, outside = (
            (weight.shape[0], weight.shape[1] * groups) if transposed else (weight.shape[1] * groups, weight.shape[0])
        )
        facts = {name: given[name] for name in ("stride", "padding", "dilation")}
        if transposed:
            facts["output_padding"] = given["output_padding"]
        facts = {name: tuple(value) if isinstance(value, list | tuple) else value for name, value in facts.items()}
        dims = weight.ndim - 2
        # The operator takes one number for all dimensions; a module's repr and cutting expect one for each.
        facts = {
            name: value * dims if isinstance(value, tuple) and len(value) == 1 else value
            for name, value in facts.items()
        }
        return base(inside, outside, tuple(weight.shape[2:]), groups=groups, bias=given["bias"] is not None, **facts)

    return make


def _linear(arguments: dict[str, Any]) -> nn.Module:
    outside, inside = arguments["weight"].shape
    return nn.Linear(inside, outside, bias=arguments["bias"] is not None)


def _batch_norm(arguments: dict[str, Any]) -> nn.Module:
    if arguments["running_mean"] is None or arguments["weight"] is None:
        raise ValueError("only a norm with its own statistics and scale is a module again")
    # One class serves all dimensions in evaluation mode, but each checks its input's.
    return _AnyBatchNorm(arguments["weight"].numel(), eps=arguments["eps"], momentum=arguments["momentum"])


class _AnyBatchNorm(nn.BatchNorm2d):
    """Batch normalisation of inputs of any number of dimensions."""

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002  # the name in torch
        return


def _layer_norm(arguments: dict[str, Any]) -> nn.Module:
    if arguments["weight"] is None:
        raise ValueError("a norm without a scale has no place")
    return nn.LayerNorm(tuple(arguments["normalized_shape"]), eps=arguments["eps"], bias=arguments["bias"] is not None)


def _group_norm(arguments: dict[str, Any]) -> nn.Module:
    if arguments["weight"] is None:
        raise ValueError("a norm without a scale has no place")
    return nn.GroupNorm(arguments["num_groups"], arguments["weight"].numel(), eps=arguments["eps"])


def _embedding(arguments: dict[str, Any]) -> nn.Module:
    rows, features = arguments["weight"].shape
    return nn.Embedding(rows, features, None if arguments["padding_idx"] < 0 else arguments["padding_idx"])


MAKERS: dict[Any, Callable[..., nn.Module]] = {
    aten.conv1d.default: _convolution(nn.Conv1d, transposed=False),
    aten.conv2d.default: _convolution(nn.Conv2d, transposed=False),
    aten.conv3d.default: _convolution(nn.Conv3d, transposed=False),
    aten.conv2d.padding: _convolution(nn.Conv2d, transposed=False),
    aten.conv_transpose1d.default: _convolution(nn.ConvTranspose1d, transposed=True),
    aten.conv_transpose2d.input: _convolution(nn.ConvTranspose2d, transposed=True),
    aten.conv_transpose3d.input: _convolution(nn.ConvTranspose3d, transposed=True),
    aten.linear.default: _linear,
    aten.embedding.default: _embedding,
    aten.batch_norm.default: _batch_norm,
    aten.layer_norm.default: _layer_norm,
    aten.group_norm.default: _group_norm,
}
