"""Groups as they follow from the traced graph alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from torch import nn
from torch.export import ExportedProgram

from workbench.graph.group import Group, Slot, Unit
from workbench.graph.labels import Array, Classes
from workbench.graph.walk import Walk, walked


def propose_groups(model: nn.Module, program: ExportedProgram) -> tuple[Group, ...]:
    """Return the groups that follow from the graph alone, without having cut anything."""
    return propose(walked(program, model))


def propose(walk: Walk) -> tuple[Group, ...]:
    """Return the groups of a graph that was walked."""
    classes = walk.labels.classes()
    units = _units(walk, classes)
    gathered: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for number, slots in units.items():
        dims = tuple((slot.parameter, slot.dim) for slot in slots)
        why, exact = classes.why(number), not bool(classes.inexact[number])
        gathered[(_layers(walk.roles.producers, slots), why) if why else (dims, exact)].append(number)
    return _named(_group(walk, classes, units, numbers) for numbers in gathered.values())


def _units(walk: Walk, classes: Classes) -> dict[int, Unit]:
    """Return what every class with a channel of a layer occupies, in the order of the layers' channels."""
    order: dict[int, list[Slot]] = {}
    for parameter, dim in walk.roles.producers:
        for number in classes.of[walk.parameters[parameter].dims[dim]].tolist():
            order.setdefault(number, [])
    wanted = np.zeros(len(classes.reason), dtype=np.bool_)
    wanted[list(order)] = True
    for name, tensor in walk.parameters.items():
        for dim, labels in enumerate(tensor.dims):
            for number, indices in _positions(classes.of[labels], wanted):
                order[number].append(Slot(name, dim, indices))
    return {number: tuple(slots) for number, slots in order.items()}


def _positions(of: Array, wanted: npt.NDArray[np.bool_]) -> Iterable[tuple[int, tuple[int, ...]]]:
    """Yield every wanted class of a dimension with its indices."""
    places = np.flatnonzero(wanted[of])
    by_class = places[np.argsort(of[places], kind="stable")]
    numbers, starts = np.unique(of[by_class], return_index=True)
    for number, indices in zip(numbers.tolist(), np.split(by_class, starts[1:]), strict=False):
        yield number, tuple(indices.tolist())


def _layers(role: dict[tuple[str, int], str], slots: Iterable[Slot]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(role[place] for place in _places(role, slots)))


def _places(role: dict[tuple[str, int], str], slots: Iterable[Slot]) -> tuple[tuple[str, int], ...]:
    held = {(slot.parameter, slot.dim) for slot in slots}
    return tuple(place for place in role if place in held)


def _group(walk: Walk, classes: Classes, units: dict[int, Unit], numbers: Sequence[int]) -> Group:
    first = units[numbers[0]]
    layers = _layers(walk.roles.producers, first)
    consumers = _layers(walk.roles.consumers, first)
    exact, heads = not classes.inexact[list(numbers)].any(), bool(classes.heads[list(numbers)].any())
    why = classes.why(numbers[0])
    words, split = (why.words, why.split) if why else (None, False)
    made_by, read_by = (_places(role, first) for role in (walk.roles.producers, walk.roles.consumers))
    occupied = tuple(units[n] for n in numbers)
    return Group(layers[0], layers, consumers, occupied, bool(exact), words, heads, split, made_by, read_by)


def _named(groups: Iterable[Group]) -> tuple[Group, ...]:
    """Number the groups that share their first layer, so that a name means one of them.

    Those that can be cut come first in the count, because theirs are the names that people type.
    """
    listed = list(groups)
    seen: dict[str, int] = defaultdict(int)
    for place, group in sorted(enumerate(listed), key=lambda pair: pair[1].protected is not None):
        seen[group.name] += 1
        if seen[group.name] > 1:
            listed[place] = replace(group, name=f"{group.name}#{seen[group.name]}")
    return tuple(listed)
