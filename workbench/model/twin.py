"""A model's twin: what runs it, hooks it or traces it without anybody else noticing."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.fx import GraphModule
from torch.fx.node import map_aggregate

from workbench.errors import WorkbenchError, first_line

M = TypeVar("M", bound=nn.Module)

_KEPT: WeakKeyDictionary[nn.Module, tuple[tuple[int, ...], nn.Module]] = WeakKeyDictionary()


def kept_twin(model: nn.Module) -> nn.Module:
    """Return a twin that is made once for a model, since copying hundreds of modules takes longer than running them.

    It is shared: whoever runs it holds `TURN`, and leaves it as it was.
    """
    marks = tuple(id(part) for part in (*model.modules(), *model.parameters(), *model.buffers()))
    known, copied = _KEPT.get(model, ((), model))
    if known != marks:
        copied = twin(model)
        _KEPT[model] = marks, copied
    return copied


@contextmanager
def standing_in(model: nn.Module, overlay: Mapping[str, Tensor]) -> Iterator[None]:
    """Let values stand in for parameters of a twin, by name; tied parameters change together."""
    before = _replaced(model, {id(model.get_parameter(name)): value for name, value in overlay.items()})
    try:
        yield
    finally:
        for module, name, value in before:
            module._parameters[name] = value


def _replaced(model: nn.Module, instead: Mapping[int, Tensor]) -> list[tuple[nn.Module, str, nn.Parameter]]:
    """Put values in the place of parameters, which are told by their ids, and return what was there."""
    before = []
    parameters = {key: nn.Parameter(value, requires_grad=False) for key, value in instead.items()}
    for module in model.modules() if parameters else ():
        for name, parameter in module._parameters.items():
            if parameter is not None and id(parameter) in parameters:
                before.append((module, name, parameter))
                module._parameters[name] = parameters[id(parameter)]
    return before


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
    copied = _copied(model, {id(value): value for value in (*model.parameters(), *model.buffers())})
    _replaced(copied, {id(model.get_parameter(name)): value for name, value in (overlay or {}).items()})
    for module in copied.modules():
        # Set by hand, because a program that was read back from text refuses .eval().
        module.training = False
    return copied


def sharing_copy(model: M, values: Mapping[str, Tensor] | None = None) -> M:
    """Return modules of their own, in the same mode, that share every tensor but those in `values`.

    States are made so: what a step does not change costs no memory. Whoever writes into tensors in place needs a
    deep copy instead.

    Args:
        model: Left as it is.
        values: Other parameters and buffers by name, of any shape; tied ones change together, and take gradients or
            not as those before did.

    Raises:
        WorkbenchError: The model holds something that cannot be copied.
    """
    stored = {**dict(model.named_buffers(remove_duplicate=False)),
              **dict(model.named_parameters(remove_duplicate=False))}  # fmt: skip
    other = {id(stored[name]): value for name, value in (values or {}).items()}
    # Tensors of its own over the same memory: `.half()` or `.to(device)` of the copy puts other memory into them, and
    # would change the model if they were the model's.
    return _copied(
        model, {key: _alias(value, other.get(key, value)) for value in stored.values() if (key := id(value))}
    )


def model_on(model: M, device: torch.device) -> M:
    """Return modules of their own, in the same mode, with all tensors on a device; the model itself if they are.

    Tied tensors stay tied. Devices that were written into a graph when it was traced are replaced by this one; a
    module of another kind that holds any has a method `on_device(device)`, called on the copy.

    Args:
        model: Left as it is.
        device: Where to.

    Raises:
        WorkbenchError: The model holds something that cannot be copied.
    """
    stored = (*model.parameters(), *model.buffers())
    if all(value.device == device for value in stored):
        return model
    copied = _copied(model, {id(value): _alias(value, value.detach().to(device)) for value in stored})
    for module in copied.modules():
        for name, value in vars(module).items():
            if isinstance(value, Tensor):  # a constant of a traced graph, which is no buffer
                vars(module)[name] = value.to(device)
        if isinstance(module, GraphModule):
            _place_graph(module, device)
        elif callable(place := getattr(module, "on_device", None)):
            place(device)
    return copied


def _place_graph(module: GraphModule, device: torch.device) -> None:
    """Replace the devices in a graph's arguments."""

    def place(value: Any) -> Any:
        return device if isinstance(value, torch.device) else value

    for node in module.graph.nodes:
        node.args, node.kwargs = map_aggregate(node.args, place), map_aggregate(node.kwargs, place)
    module.recompile()


def _alias(before: Tensor, value: Tensor) -> Tensor:
    """Return a value as what it stands for: a parameter that takes gradients or not, or a buffer."""
    return nn.Parameter(value.detach(), before.requires_grad) if isinstance(before, nn.Parameter) else value.detach()


def _copied(model: M, instead: Mapping[int, Tensor]) -> M:
    """Return a copy in which tensors, told by their ids, are these."""
    try:
        return copy.deepcopy(model, dict(instead))
    except (RuntimeError, TypeError) as error:
        raise WorkbenchError(f"the model cannot be copied: {first_line(error)}") from error
