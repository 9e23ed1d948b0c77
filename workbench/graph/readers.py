"""Layer norms whose output only linear layers read, so that a scale can move from one to the others."""

from __future__ import annotations

from torch import Tensor, nn
from torch.fx import Node

from workbench.graph.fold import PASSING, Reader, argument, operator


def norm_readers(model: nn.Module, example: tuple[Tensor, ...]) -> list[tuple[str, tuple[str, ...]]]:
    """Return layer norms with the weights that read them, in the order of the forward pass.

    Each norm has a gain and a shift of its own over one dimension and is called once. Its output enters linear layers
    and nothing else, perhaps with samples and positions in another order; their weights [outputs, inputs] are read by
    nothing else.

    Raises:
        WorkbenchError: The model cannot be traced.
    """
    reader = Reader.of(model, example)
    norms = []
    for node in reader.nodes:
        if operator(node) != "layer_norm" or len(argument(node, 1, "normalized_shape")) != 1:  # type: ignore[arg-type]  # a list of sizes
            continue
        norm = reader.owner(argument(node, 2, "weight"), "weight")
        shift = reader.owner(argument(node, 3, "bias"), "bias")
        weights = _readers(node, reader)
        if norm is not None and shift == norm and weights:
            norms.append((norm, tuple(weights)))
    return norms


def _readers(node: Node, reader: Reader) -> list[str]:
    """Return the weights that multiply the node's last dimension, [] if anything else uses it."""
    weights: list[str] = []
    for user in node.users:
        if argument(user, 0, "input") is not node:
            return []
        if operator(user) == "linear":
            weight = reader.parameter(argument(user, 1, "weight"))
            more = [] if weight is None else [weight]
        elif operator(user) in PASSING or _keeps_last(user):
            more = _readers(user, reader)
        else:
            return []
        if not more:
            return []
        weights.extend(more)
    return weights


def _keeps_last(node: Node) -> bool:
    """Whether a transposition leaves the last dimension where it is."""
    if operator(node) != "transpose":
        return False
    last = node.meta["val"].dim() - 1
    return all(dim % (last + 1) != last for dim in (argument(node, 1, "dim0"), argument(node, 2, "dim1")))
