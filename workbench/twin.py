"""A model's twin: what runs it, hooks it or traces it without anybody else noticing."""

from __future__ import annotations

import copy
from collections.abc import Mapping

from torch import Tensor, nn

from workbench.errors import WorkbenchError, first_line


def twin(model: nn.Module, overlay: Mapping[str, Tensor] | None = None) -> nn.Module:
    """Return modules of their own, in evaluation mode, that share every tensor with `model`.

    A preview, a scan and an export may run one model at the same time. Switching its mode, putting hooks on it or
    other values into it would be seen by the others; a twin costs no memory for weights, and nobody else has it.

    Args:
        model: Left as it is.
        overlay: Values that stand in for parameters, by name; tied parameters change together.

    Raises:
        WorkbenchError: The model holds something that cannot be copied.
    """
    shared: dict[int, Tensor] = {id(value): value for value in (*model.parameters(), *model.buffers())}
    try:
        made = copy.deepcopy(model, shared)
    except (RuntimeError, TypeError) as error:
        raise WorkbenchError(f"the model cannot be copied: {first_line(error)}") from error
    instead: dict[int, nn.Parameter] = {}
    for name, value in (overlay or {}).items():
        instead[id(model.get_parameter(name))] = nn.Parameter(value, requires_grad=False)
    for module in made.modules():
        # Set by hand, because a program that was read back from text refuses .eval().
        module.training = False
        for name, parameter in module._parameters.items():
            if id(parameter) in instead:
                module._parameters[name] = instead[id(parameter)]
    return made
