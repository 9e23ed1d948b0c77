"""Which weights make the units of a coupled group, and which read them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import starmap
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from workbench.graph import Group, canonical_names, is_depthwise
from workbench.model.layers import is_turned_linear

WEIGHTS = ("weight", "in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight")


class Place(NamedTuple):
    """A dimension of a parameter."""

    parameter: str
    dim: int


Owners = dict[Place, Tensor]


def producing(model: nn.Module, group: Group) -> Owners:
    """Return the places of weights that compute the units, and for each of their indices the unit, -1 for none."""
    known = [place for layer in group.layers for place in _places(model, layer, outputs=True)]
    return owners(model, group, known) or owners(model, group, starmap(Place, group.made_by))


def reading(model: nn.Module, group: Group) -> Owners:
    """Return the places of weights that the units are multiplied with, as `producing`; empty where nothing reads."""
    known = [place for layer in group.consumers for place in _places(model, layer, outputs=False)]
    return owners(model, group, known) or owners(model, group, starmap(Place, group.read_by))


def owners(model: nn.Module, group: Group, places: Iterable[Place]) -> Owners:
    """Return those of the places that the group occupies, with the unit of each index, int64 [size]; -1 for none."""
    wanted, unit_of = set(places), Owners()
    for number, unit in enumerate(group.units):
        for slot in unit:
            place = Place(slot.parameter, slot.dim)
            if place in wanted:
                parameter = model.get_parameter(place.parameter)
                if place not in unit_of:
                    unit_of[place] = torch.full((parameter.shape[place.dim],), -1, device=parameter.device)
                unit_of[place][list(slot.indices)] = number
    return unit_of


def features(model: nn.Module, group: Group, consumer: str) -> Tensor:
    """Return which unit each input channel or feature of a consuming layer belongs to, int64 [inputs]; -1 for none."""
    (place,) = _places(model, consumer, outputs=False)
    owner = owners(model, group, [place])[place]
    module = model.get_submodule(consumer)
    # The inner groups of a grouped convolution number their inputs from zero again.
    repeats = module.groups if isinstance(module, _ConvNd) and not isinstance(module, _ConvTransposeNd) else 1
    return owner.repeat(repeats)


def total(values: Mapping[str, Tensor], unit_of: Owners, units: int) -> Tensor:
    """Return for every unit the sum of all values at its places, float64 [units].

    Args:
        values: By parameter, each in its parameter's shape.
        unit_of: Whose places.
        units: How many there are.
    """
    where = next((values[place.parameter].device for place in unit_of), None)
    sums = torch.zeros(units, dtype=torch.float64, device=where)
    for place, owner in unit_of.items():
        rows = values[place.parameter].double().movedim(place.dim, 0).reshape(len(owner), -1).sum(1)
        sums.index_add_(0, owner[owner >= 0], rows[owner >= 0])
    return sums


def mean(values: Mapping[str, Tensor], unit_of: Owners, units: int) -> Tensor:
    """Return for every unit the mean of all values at its places; arguments as in `total`."""
    ones = {place.parameter: torch.ones_like(values[place.parameter]) for place in unit_of}
    return total(values, unit_of, units) / total(ones, unit_of, units)


def _places(model: nn.Module, layer: str, outputs: bool) -> list[Place]:
    module = dict(model.named_modules()).get(layer)
    if module is None:  # a parameter of its own
        return []
    turned = (isinstance(module, _ConvTransposeNd) and not is_depthwise(module)) or is_turned_linear(module)
    # Attention has other names, and keeps them where it is no longer a module of torch's; recurrent layers have many.
    recurrent = isinstance(module, nn.RNNBase | nn.RNNCellBase)
    parameters = [
        name
        for name, value in module._parameters.items()
        if value is not None and (name in WEIGHTS or (recurrent and name.startswith("weight")))
    ]
    first = canonical_names(model)
    full = [f"{layer}.{name}" if layer else name for name in parameters]
    return [Place(first[name], int(outputs == turned)) for name in full]
