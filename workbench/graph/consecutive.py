"""Layers that follow each other directly, so that a scale can move from one to the next."""

from __future__ import annotations

from collections.abc import Container

from torch import Tensor, nn
from torch.fx import Node

from workbench.graph.fold import Reader, argument, is_layer, operator

# f(s x) = s f(x) for every s > 0, channel by channel.
HOMOGENEOUS = (
    "relu", "relu_", "leaky_relu", "dropout", "dropout_", "clone", "contiguous",
    *(f"{pool}{dims}d" for pool in ("max_pool", "avg_pool", "adaptive_avg_pool") for dims in (1, 2, 3)),
)  # fmt: skip


def chains(
    model: nn.Module, example: tuple[Tensor, ...], through: Container[str] = HOMOGENEOUS
) -> list[tuple[str, str]]:
    """Return pairs of layers (first, second), in the order of the forward pass.

    Only the second reads the first's output; each of the two is called once, and its parameters are its own.

    Args:
        model: Left as it is.
        example: The positional inputs, batch first.
        through: Operators that may lie in between: by default those that pass a positive factor of a channel on.

    Raises:
        WorkbenchError: The model cannot be traced.
    """
    reader = Reader.of(model, example)
    pairs = []
    for node in reader.nodes:
        if is_layer(node) and (first := reader.owner(argument(node, 1, "weight"), "weight")):
            reached = _next(node, through)
            second = reader.owner(argument(reached, 1, "weight"), "weight") if reached is not None else None
            if second is not None and _own_bias(reader, node):
                pairs.append((first, second))
    return pairs


def _own_bias(reader: Reader, node: Node) -> bool:
    bias = argument(node, 2, "bias")
    return bias is None or reader.owner(bias, "bias") is not None


def _next(node: Node, through: Container[str]) -> Node | None:
    """Return the layer that alone uses the node's value, as what it multiplies with its weight."""
    while len(node.users) == 1:
        (user,) = node.users
        if argument(user, 0, "input") is not node:
            return None
        if is_layer(user):
            return user
        if operator(user) not in through:
            return None
        node = user
    return None
