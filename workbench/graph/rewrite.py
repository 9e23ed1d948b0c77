"""Rewrites of a traced graph that leave its outputs as they are, up to rounding, and make it pure or faster."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.fx import Graph, Node
from torch.nn.utils.fusion import fuse_conv_bn_weights

from workbench.errors import WorkbenchError
from workbench.graph.fold import argument
from workbench.graph.fold import operator as name_of

aten = torch.ops.aten
CONVOLUTIONS = (aten.conv1d.default, aten.conv2d.default, aten.conv3d.default)
VIEWS = (
    "view", "reshape", "slice", "select", "transpose", "permute", "expand", "unsqueeze", "squeeze", "flatten",
    "unflatten", "chunk", "split", "split_with_sizes", "unbind", "detach", "alias", "narrow", "t", "movedim",
    "view_as", "expand_as", "diagonal", "unfold", "contiguous", "to", "dropout", "swapaxes", "tensor_split",
    "as_strided",
)  # fmt: skip
NORM = ((1, "weight"), (2, "bias"), (3, "running_mean"), (4, "running_var"))
CONVOLUTION = ((2, "bias"), (3, "stride"), (4, "padding"), (5, "dilation"), (6, "groups"))


def without_mutation(graph: Graph) -> None:
    """Replace operators that write into their first argument by those that return a new tensor, in place.

    Raises:
        WorkbenchError: Something else may look at the memory that is written to.
    """
    order = {node: place for place, node in enumerate(graph.nodes)}
    for node in list(graph.nodes):
        name = name_of(node)
        schema = getattr(node.target, "_schema", None)
        if node.op != "call_function" or schema is None or not schema.is_mutable or _writes_nothing(node):
            continue
        written, pure = node.args[0], getattr(aten, name.removesuffix("_"), None)
        overload = getattr(pure, node.target._overloadname, None)
        if (
            not isinstance(written, Node)
            or not name.endswith("_")
            or overload is None
            or is_shared(written, node, order)
        ):
            raise WorkbenchError(f"the model writes into memory that others read ({name}), so it is run as a whole")
        node.target = overload
        for user in [user for user in written.users if order[user] > order[node]]:
            user.replace_input_with(written, node)


def _writes_nothing(node: Node) -> bool:
    """A norm or dropout in evaluation mode has a schema that might write, and does not."""
    return name_of(node) == "batch_norm" and argument(node, 5, "training") is False


def is_shared(written: Node, writer: Node, order: Mapping[Node, int]) -> bool:
    """Whether a value that is read after the write may lie in the memory that is written to."""
    if written.op != "call_function" or any(_is_view(user) for user in written.users if order[user] < order[writer]):
        return True
    if not _is_view(written):
        return False
    # Of what only this view reads nobody sees the write, as when a flattened value is rectified in place.
    source = written.args[0]
    alone = written.target is not operator.getitem and isinstance(source, Node) and list(source.users) == [written]
    return not alone or is_shared(source, written, order)  # type: ignore[arg-type]  # alone says so


def _is_view(node: Node) -> bool:
    return node.target is operator.getitem or name_of(node) in VIEWS


def fold_norms(graph: Graph) -> None:
    """Fold every batch norm that alone reads a convolution into it, in place.

    What it multiplies the weight with is computed from parameters, so it follows their values.
    """
    for norm in list(graph.nodes):
        layer = argument(norm, 0, "input") if name_of(norm) == "batch_norm" else None
        if not isinstance(layer, Node) or layer.target not in CONVOLUTIONS or len(layer.users) != 1:
            continue
        gain, shift, mean, var = (argument(norm, place, name) for place, name in NORM)
        if argument(norm, 5, "training") is not False or mean is None or var is None:
            continue
        weight, bias, eps = layer.args[1], argument(layer, 2, "bias"), argument(norm, 7, "eps")
        with graph.inserting_before(layer):
            arguments: Any = (weight, bias, mean, var, eps, gain, shift)
            fused = graph.call_function(fuse_conv_bn_weights, arguments)
            folded_weight, folded_bias = (graph.call_function(operator.getitem, (fused, place)) for place in (0, 1))
        layer.args = (layer.args[0], folded_weight, folded_bias, *layer.args[3:])
        layer.kwargs = {name: value for name, value in layer.kwargs.items() if name != "bias"}
        layer.meta["val"] = norm.meta["val"]
        norm.replace_all_uses_with(layer)
        graph.erase_node(norm)


def in_channels_last(graph: Graph) -> None:
    """Have 2d convolutions work with channels as the innermost dimension, in place."""
    for node in list(graph.nodes):
        if node.target is aten.view.default:
            node.target = aten.reshape.default  # a view of another order of memory may not exist
        if node.target is aten.conv2d.default:
            with graph.inserting_before(node):
                turned = graph.call_function(channels_last, (node.args[1],))
            node.args = (node.args[0], turned, *node.args[2:])


def channels_last(value: Tensor) -> Tensor:
    """Return the tensor with dimension 1 innermost in memory, if it has four dimensions."""
    return value.contiguous(memory_format=torch.channels_last) if value.dim() == 4 else value


def fuse(graph: Graph) -> None:
    """Make a convolution, an addition after it and a ReLU after that one kernel of oneDNN, in place.

    These kernels are what torch's own compiler uses on a processor; they save reading and writing the same values
    twice. The graph must be in channels-last order.

    Raises:
        WorkbenchError: This build of torch has no oneDNN.
    """
    if not torch._C._has_mkldnn:
        raise WorkbenchError("this build of torch has no oneDNN, so kernels cannot be fused")
    for layer in list(graph.nodes):
        if layer.target is not aten.conv2d.default or not isinstance(layer.args[1], Node):
            continue
        last, other = _alone(layer), None
        if last is not None and last.target is aten.add.Tensor and not last.kwargs and len(last.args) == 2:
            one, two = last.args
            other = two if one is layer else one
            if not isinstance(other, Node) or not _alike(other, layer) or other is layer:
                continue
            relu = _alone(last)
        else:
            relu, last = last, layer
        if relu is None or relu.target is not aten.relu.default:
            if other is None:
                continue
            relu = None
        end = relu or last
        if end is layer:
            continue
        arguments: list[Any] = [argument(layer, place, name) for place, name in CONVOLUTION]
        with graph.inserting_before(end):
            fused = graph.call_function(convolve, (layer.args[0], layer.args[1], *arguments, other, relu is not None))
        fused.meta["val"] = end.meta["val"]
        end.replace_all_uses_with(fused)
        for node in dict.fromkeys((end, last, layer)):
            graph.erase_node(node)


def convolve(
    value: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: list[int] | None,
    padding: list[int] | None,
    dilation: list[int] | None,
    groups: int | None,
    other: Tensor | None,
    relu: bool,
) -> Tensor:
    """Return a 2d convolution, plus `other` if given, and cut off below zero if `relu`."""
    how = (weight, bias, padding or [0, 0], stride or [1, 1], dilation or [1, 1], groups or 1)
    mkldnn = torch.ops.mkldnn
    if other is None:
        return mkldnn._convolution_pointwise(value, *how, "relu" if relu else "none", [], "")  # type: ignore[no-any-return]
    after = "relu" if relu else None
    return mkldnn._convolution_pointwise.binary(value, other, *how, "add", 1.0, after, [], None)  # type: ignore[no-any-return]


def _alone(node: Node) -> Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def _alike(one: Node, other: Node) -> bool:
    """Whether two values have the same shape and type, so that nothing is spread out when they are added."""
    first, second = one.meta.get("val"), other.meta.get("val")
    return (
        isinstance(first, Tensor)
        and isinstance(second, Tensor)
        and first.dtype == second.dtype == torch.float32
        and tuple(map(str, first.shape)) == tuple(map(str, second.shape))
    )
