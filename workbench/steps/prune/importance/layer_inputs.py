"""The layers whose inputs a criterion looks at, by the names of their weights."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import nn
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear

from workbench.errors import WorkbenchError
from workbench.graph import Group, canonical_names
from workbench.steps.calibration import CONVOLUTIONS

READABLE = (nn.Linear, *CONVOLUTIONS)
NOBODY = "no layer reads its channels"
OTHER = "not of a linear layer or convolution"


def layers_of(model: nn.Module, parameters: Sequence[str], title: str) -> dict[str, str]:
    """Return for every parameter the layer whose weight it is. Of layers that share it, the first.

    Raises:
        WorkbenchError: It is no weight of a linear layer or of a convolution that is not transposed.
    """
    first, readable = canonical_names(model), _readable(model)
    missing = [name for name in parameters if first.get(name) not in readable]
    refuse(missing, title, OTHER)
    return {name: readable[first[name]] for name in parameters}


def unreadable_weight(model: nn.Module, parameter: str) -> str:
    """Return why what a weight is multiplied with cannot be looked at, "" if it can."""
    return "" if canonical_names(model).get(parameter) in _readable(model) else OTHER


def is_readable(module: nn.Module) -> bool:
    """Return whether what a module's weight is multiplied with can be looked at, by a hook on the module."""
    # The last layer of `nn.MultiheadAttention` is never called: the module takes its weight and multiplies itself.
    return isinstance(module, READABLE) and not isinstance(module, NonDynamicallyQuantizableLinear)


def _readable(model: nn.Module) -> dict[str, str]:
    """Return the layers whose inputs can be looked at, by the first name of their weight."""
    first = canonical_names(model)
    readable: dict[str, str] = {}
    for name, module in model.named_modules():
        weight = f"{name}.weight" if name else "weight"
        if is_readable(module) and weight in first:
            readable.setdefault(first[weight], name)
    return readable


def refuse(names: Iterable[str], title: str, why: str) -> None:
    """Raise an error that names weights about which the criterion says nothing, if there are any."""
    if some := list(names):
        layers = ", ".join(name.removesuffix(".weight") for name in some)
        raise WorkbenchError(f"{title} says nothing about {', '.join(some)}: {why}; exclude {layers}")


def unreadable(model: nn.Module, group: Group, kinds: tuple[type[nn.Module], ...] = READABLE) -> str:
    """Return why the inputs of a group's consumers cannot be looked at, "" if all are of `kinds`."""
    if not group.consumers:
        return NOBODY
    modules = dict(model.named_modules())  # a parameter of its own is in none
    others = [name for name in group.consumers if not isinstance(modules.get(name), kinds)]
    return f"{', '.join(others)} reads them, no linear layer or convolution" if others else ""
