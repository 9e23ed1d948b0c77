"""The layers whose inputs a criterion looks at, by the names of their weights."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import nn

from workbench.errors import WorkbenchError
from workbench.graph import Group, canonical_names
from workbench.steps.calibration import CONVOLUTIONS

READABLE = (nn.Linear, *CONVOLUTIONS)
NOBODY = "no layer reads its channels"


def layers_of(model: nn.Module, parameters: Sequence[str], title: str) -> dict[str, str]:
    """Return for every parameter the layer whose weight it is. Of layers that share it, the first.

    Raises:
        WorkbenchError: It is no weight of a linear layer or of a convolution that is not transposed.
    """
    first = canonical_names(model)
    found: dict[str, str] = {}
    for name, module in model.named_modules():
        weight = f"{name}.weight" if name else "weight"
        if isinstance(module, READABLE) and weight in first:
            found.setdefault(first[weight], name)
    missing = [name for name in parameters if first.get(name) not in found]
    refuse(missing, title, "not of a linear layer or convolution")
    return {name: found[first[name]] for name in parameters}


def refuse(names: Iterable[str], title: str, why: str) -> None:
    """Raise an error that names weights about which the criterion says nothing, if there are any."""
    if some := list(names):
        layers = ", ".join(name.rpartition(".")[0] or name for name in some)
        raise WorkbenchError(f"{title} says nothing about {', '.join(some)}: {why}; exclude {layers}")


def unreadable(model: nn.Module, group: Group, kinds: tuple[type[nn.Module], ...] = READABLE) -> str:
    """Return why the inputs of a group's consumers cannot be looked at, "" if all are of `kinds`."""
    if not group.consumers:
        return NOBODY
    others = [name for name in group.consumers if not isinstance(model.get_submodule(name), kinds)]
    return f"{', '.join(others)} reads them, no linear layer or convolution" if others else ""
