"""The layer at the beginning of a model, which alone reads its input."""

from __future__ import annotations

from torch import Tensor, nn

from workbench.graph.fold import Reader, argument, is_layer, operator


def entry_layer(model: nn.Module, example: tuple[Tensor, ...]) -> str:
    """Return the name of the convolution or linear layer that reads the only input and nothing else does, "" for none.

    Args:
        model: Any module.
        example: Its inputs, batch first.

    Raises:
        WorkbenchError: The model cannot be traced.
    """
    reader = Reader.of(model, example)
    names = reader.program.graph_signature.user_inputs
    entering = [node for node in reader.nodes if node.op == "placeholder" and node.name in names]
    if len(entering) != 1:
        return ""
    users = [user for user in entering[0].users if operator(user) != "sym_size"]  # which looks at no values
    if len(users) != 1 or not is_layer(users[0]) or argument(users[0], 0, "input") is not entering[0]:
        return ""
    return reader.owner(argument(users[0], 1, "weight"), "weight") or ""
