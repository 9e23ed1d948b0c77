"""The unit of structured pruning: a channel with everything that hangs on it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Slot:
    """What one unit occupies in one dimension of a tensor.

    Attributes:
        parameter: The name of the parameter or buffer; of tied ones the first name.
        dim: The dimension.
        indices: The indices along it, ascending.
    """

    parameter: str
    dim: int
    indices: tuple[int, ...]


Unit = tuple[Slot, ...]


@dataclass(frozen=True)
class Group:
    """Units that are alike: each can be removed alone, and occupies the same dimensions of the same tensors.

    Attributes:
        name: The first producer layer, with a number where a layer has several groups.
        layers: The layers that produce the units, which lie in dimension 0 of the weight (dimension 1 of a
            transposed convolution that is not depthwise).
        consumers: The layers that read the units.
        units: For every unit what it occupies.
        exact: Whether a unit removed gives the same outputs as a unit set to zero. False where a norm
            computes statistics over the units.
        protected: Why the units cannot be removed, None if they can.
        heads: Whether the units are attention heads.
        split: Whether they are protected because a reshape takes them apart, as it does attention heads.
        made_by: The parameters, with their dimensions, that compute the units.
        read_by: Those that the units are multiplied with.
    """

    name: str
    layers: tuple[str, ...]
    consumers: tuple[str, ...]
    units: tuple[Unit, ...]
    exact: bool
    protected: str | None
    heads: bool = False
    split: bool = False
    made_by: tuple[tuple[str, int], ...] = ()
    read_by: tuple[tuple[str, int], ...] = ()


def not_cut(name: str, why: str) -> str:
    """Return the note on a group that a step left alone; the report tells by it which notes its table says already."""
    return f"{name}: not cut, {why}"
