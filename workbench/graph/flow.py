"""What a rule sees of one call in the traced graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from workbench.graph.labels import POSITION, Array, Classes, Labels, Reason

Dims = tuple[Array, ...]
CONSTANT = "meets a tensor made with a constant size"


@dataclass(frozen=True)
class Labelled:
    """A tensor as its labels: one array per dimension, as long as the dimension.

    Attributes:
        dims: The labels.
        parameter: The name of the parameter or buffer that the tensor is, None for an activation.
        axes: The parameter's dimensions in the order of these, where it was only turned; () as they are.
    """

    dims: Dims
    parameter: str | None = None
    axes: tuple[int, ...] = ()

    def place(self, dim: int) -> tuple[str, int] | None:
        """Return what a dimension is: one of a parameter, or of none."""
        return None if self.parameter is None else (self.parameter, self.axes[dim] if self.axes else dim)


@dataclass
class Roles:
    """Which parameter dimensions hold the outputs and which the inputs of a layer, in the order of the graph.

    Both map (parameter, dimension) to the name of the layer.
    """

    producers: dict[tuple[str, int], str] = field(default_factory=dict)
    consumers: dict[tuple[str, int], str] = field(default_factory=dict)


@dataclass
class Splits:
    """Dimensions of channels that a reshape takes apart, by the reshape's name and the first new dimension.

    Which of the new dimensions counts attention heads shows only later in the graph. A first walk gives each of them
    labels of its own, and `head_axes` tells after it where heads are; a second walk knows.

    Attributes:
        axes: For a split the number, among the new dimensions, of the one that counts heads; None in the first walk.
        inputs: The labels that are taken apart.
        outputs: The labels of the new dimensions.
    """

    axes: Mapping[tuple[str, int], int] | None = None
    inputs: dict[tuple[str, int], Array] = field(default_factory=dict)
    outputs: dict[tuple[str, int], list[Array]] = field(default_factory=dict)

    def head_axes(self, classes: Classes) -> dict[tuple[str, int], int]:
        """Return which dimension counts heads: the first that is free and that a matrix product takes one by one."""
        heads, axes = classes.heads.copy(), dict[tuple[str, int], int]()
        for key, dims in reversed(self.outputs.items()):
            for number, labels in enumerate(dims):
                of = classes.of[labels[labels >= 0]]
                if of.size and (classes.reason[of] < 0).all() and heads[of].all():
                    axes[key] = number
                    # What is taken apart further on passes it on to what it was taken from.
                    heads[classes.of[self.inputs[key]]] = True
                    break
        return axes


@dataclass(frozen=True)
class Call:
    """One operator call.

    Attributes:
        op: The operator's name, as `aten` has it, without the underscore of the in-place form.
        place: The module it happens in, for messages.
        arguments: Values by the schema's names; tensors are `Labelled`, symbolic sizes are the example's.
        shapes: The sizes of the tensors that come back.
        labels: Where couplings are noted.
        owner: Gives the name of the layer that a parameter belongs to, in the place where it is used.
        roles: Where layers are noted.
        name: The node's name in the graph.
        splits: Where channels that are taken apart are noted.
        normalises: Whether it is a mean or a variance by which a norm that is written by hand divides or shifts.
    """

    op: str
    place: str
    arguments: Mapping[str, Any]
    shapes: tuple[tuple[int, ...], ...]
    labels: Labels
    owner: Callable[[str, str], str]
    roles: Roles
    name: str = ""
    splits: Splits = field(default_factory=Splits)
    normalises: bool = False

    def dims(self, name: str) -> Dims:
        """Return the labels of a tensor argument that must be there."""
        value = self.arguments[name]
        if not isinstance(value, Labelled):
            raise TypeError(f"{name} is no tensor")
        return value.dims

    def optional(self, name: str) -> Dims | None:
        """Return the labels of a tensor argument, None where it was not given."""
        value = self.arguments.get(name)
        return value.dims if isinstance(value, Labelled) else None

    def tensors(self) -> list[Labelled]:
        """Return all tensor arguments, those inside lists too."""
        return list(_tensors(self.arguments.values()))

    def unify(self, one: Array, other: Array) -> Array:
        """Couple two label arrays here and return the result's."""
        return self.labels.unify(one, other, self.place)

    def tie(self, labels: Array, parts: int) -> Array:
        """Couple equal parts of a dimension, position by position, and return the labels of one part."""
        return self.labels.tie(labels.reshape(parts, -1), self.place)

    def fix(self, labels: Array, what: str, split: bool = False) -> None:
        """Note that these labels cannot be removed because of what happens here."""
        self.labels.fix(labels, self._reason(what, split))

    def constant(self, what: str, size: int, split: bool = False) -> Array:
        """Return labels of channels that cannot be removed because of what happens here."""
        return self.labels.constant(self._reason(what, split), size)

    def _reason(self, what: str, split: bool) -> Reason:
        return Reason(f"{what} at {self.place}", split)

    def produces(self, name: str, dim: int) -> None:
        """Note that this dimension of the weight holds the output channels of a layer."""
        self._note(self.roles.producers, name, dim)

    def consumes(self, name: str, dim: int) -> None:
        """Note that this dimension of the weight holds the input channels of a layer."""
        self._note(self.roles.consumers, name, dim)

    def holds(self, weight: Labelled, producer: int | None = None, consumer: int | None = None) -> None:
        """Note which dimensions of a weight hold a layer's outputs and inputs."""
        for role, dim in ((self.roles.producers, producer), (self.roles.consumers, consumer)):
            if dim is not None and (place := weight.place(dim)) is not None:
                role.setdefault(place, self.owner(place[0], self.place))

    def _note(self, role: dict[tuple[str, int], str], name: str, dim: int) -> None:
        if (place := self.arguments[name].place(dim)) is not None:
            role.setdefault(place, self.owner(place[0], self.place))


Rule = Callable[[Call], "Dims | list[Dims]"]


def positions(size: int) -> Array:
    """Return the labels of a dimension that holds no channels, [size]."""
    return np.full(size, POSITION, dtype=np.int64)


def is_tracked(labels: Array) -> bool:
    """Whether a dimension has any channel that might be removed."""
    return bool((labels >= 0).any())


def _tensors(values: Any) -> Iterator[Labelled]:
    for value in values:
        if isinstance(value, Labelled):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from _tensors(value)
