"""Batch norms folded into the layers before them, and what follows a layer."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.fx import Node
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils.fusion import fuse_conv_bn_weights, fuse_linear_bn_weights

from workbench.graph.tracing import trace
from workbench.graph.walk import canonical_names
from workbench.model.twin import sharing_copy

MOVING = ("slice", "pad", "constant_pad_nd", "transpose", "permute", "clone", "contiguous", "alias", "dropout")
PASSING = ("batch_norm", "dropout", "dropout_", "clone", "contiguous", "detach", "alias")


@dataclass(frozen=True)
class Reader:
    """The layers of a traced graph, found through the parameters that their operators read."""

    program: ExportedProgram
    names: Mapping[str, str]

    @classmethod
    def of(cls, model: nn.Module, example: tuple[Tensor, ...]) -> Reader:
        """Return the reader of a model.

        Raises:
            WorkbenchError: The model cannot be traced.
        """
        return cls(trace(model, example), canonical_names(model))

    @property
    def nodes(self) -> Iterable[Node]:
        """The graph's operators, in the order of the forward pass."""
        nodes: Iterable[Node] = self.program.graph.nodes
        return nodes

    def parameter(self, node: object) -> str | None:
        """Return the name of the parameter or buffer that a node stands for, if nothing else reads it."""
        if not isinstance(node, Node) or len(node.users) != 1:
            return None
        signature = self.program.graph_signature
        name = signature.inputs_to_parameters.get(node.name) or signature.inputs_to_buffers.get(node.name)
        aliases = [alias for alias, first in self.names.items() if first == self.names.get(name or "")]
        return name if len(aliases) == 1 else None

    def owner(self, node: object, attribute: str) -> str | None:
        """Return the module whose attribute of that name the node is."""
        path, _, last = (self.parameter(node) or "").rpartition(".")
        return path if path and last == attribute else None


def fold_batchnorm(model: nn.Module, example: tuple[Tensor, ...], names: Container[str] | None = None) -> nn.Module:
    """Return a copy with the same eval-mode outputs, in which foldable batch norms are `nn.Identity`.

    A batch norm can be folded if it alone reads the output of a convolution or linear layer, and each of the
    two is called once.

    Args:
        model: Left as it is.
        example: The positional inputs, batch first.
        names: Layers into which norms may be folded, None for all.

    Raises:
        WorkbenchError: The model cannot be traced.
    """
    folded = sharing_copy(model)
    for layer_name, norm_name in list(_foldable(Reader.of(model, example))):
        if names is not None and layer_name not in names:
            continue
        layer, norm = folded.get_submodule(layer_name), folded.get_submodule(norm_name)
        if _fold_pair(layer, norm):
            for parent in folded.modules():
                for name, child in parent.named_children():
                    if child is norm:
                        setattr(parent, name, nn.Identity())
    return folded


def followers(model: nn.Module, example: tuple[Tensor, ...]) -> dict[str, str]:
    """Return for every convolution and linear layer "relu" if only ReLUs use its output, otherwise "".

    Between the two may lie operators that do nothing in eval mode. A batch norm is none of them: one that could be
    folded into the layer is gone before, and any other moves what a ReLU would cut off.

    Raises:
        WorkbenchError: The model cannot be traced.
    """
    program = trace(model, example)
    signature = program.graph_signature
    uses: dict[str, set[str]] = {}
    for node in program.graph.nodes:
        if is_layer(node):
            weight = argument(node, 1, "weight")
            parameter = signature.inputs_to_parameters.get(getattr(weight, "name", ""), "")
            used = uses.setdefault(parameter.rpartition(".")[0], set())
            used.update("relu" if name in ("relu", "relu_") else "" for name in _uses(node))
    return {name: "relu" if used == {"relu"} else "" for name, used in uses.items() if name}


def summed_inputs(model: nn.Module, example: tuple[Tensor, ...]) -> set[str]:
    """Return the convolutions whose input, past a shortcut, is also added to what another convolution makes.

    Raises:
        WorkbenchError: The model cannot be traced.
    """
    reader = Reader.of(model, example)
    layers = set()
    for node in reader.nodes:
        source = argument(node, 0, "input")
        if is_convolution(node) and isinstance(source, Node) and _added_to_convolution(source):
            layers.add(reader.owner(argument(node, 1, "weight"), "weight") or "")
    return layers - {""}


def _added_to_convolution(node: Node) -> bool:
    """Return whether the node's value, moved or not, is a term of a sum whose other term a convolution makes."""
    for user in node.users:
        if operator(user) in MOVING and argument(user, 0, "input") is node and _added_to_convolution(user):
            return True
        if operator(user) in ("add", "add_"):
            others = [other for other in user.args[:2] if isinstance(other, Node) and other is not node]
            while others and operator(others[0]) in PASSING:
                others = [argument(others[0], 0, "input")]  # type: ignore[list-item]  # what passes has a node before it
            if others and is_convolution(others[0]):
                return True
    return False


def _foldable(reader: Reader) -> Iterator[tuple[str, str]]:
    for node in reader.nodes:
        if operator(node) != "batch_norm":
            continue
        source = argument(node, 0, "input")
        if not isinstance(source, Node) or not is_layer(source) or len(source.users) != 1:
            continue
        if operator(source) == "linear" and source.meta["val"].dim() != 2:
            continue
        layer = reader.owner(argument(source, 1, "weight"), "weight")
        norm = reader.owner(argument(node, 3, "running_mean"), "running_mean")
        if layer is not None and norm is not None:
            yield layer, norm


def _fold_pair(layer: nn.Module, norm: nn.Module) -> bool:
    """Fold the norm into the layer in place; False if these two cannot be."""
    if not isinstance(norm, _BatchNorm) or norm.running_mean is None or norm.running_var is None:
        return False
    statistics = (norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias)
    if isinstance(layer, _ConvNd) and not (layer.transposed and layer.groups > 1):
        fused = fuse_conv_bn_weights(layer.weight, layer.bias, *statistics, transpose=layer.transposed)
    elif isinstance(layer, nn.Linear):
        fused = fuse_linear_bn_weights(layer.weight, layer.bias, *statistics)
    else:
        return False
    layer.weight, layer.bias = fused
    return True


def _uses(node: Node) -> Iterator[str]:
    """Yield the operators that use the node's value, "output" for the model's end."""
    for user in node.users:
        if operator(user) in PASSING[1:] and argument(user, 0, "input") is node:
            yield from _uses(user)
        else:
            yield operator(user) or user.op


def argument(node: Node, position: int, name: str) -> object:
    return node.args[position] if len(node.args) > position else node.kwargs.get(name)


def is_layer(node: Node) -> bool:
    return operator(node) == "linear" or is_convolution(node)


def is_convolution(node: Node) -> bool:
    return operator(node).startswith("conv")


def operator(node: Node) -> str:
    schema = getattr(node.target, "_schema", None)
    return str(schema.name).rpartition("::")[2] if node.op == "call_function" and schema is not None else ""
