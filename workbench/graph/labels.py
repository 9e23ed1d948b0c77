"""Labels of tensor indices: which indices must be removed together, and which must stay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.int64]

# The label of an index that is a place (batch, row, column, token) and not a channel.
POSITION = -1
_FIRST_REASON = -2


@dataclass(frozen=True)
class Reason:
    """Why channels cannot be removed.

    Attributes:
        words: The reason as people read it.
        split: Whether it is that a reshape takes the channels apart, as it does attention heads.
    """

    words: str
    split: bool = False


@dataclass(frozen=True)
class Classes:
    """The classes of equivalent labels.

    Attributes:
        of: The class of every label, [labels].
        reason: For every class the number of the first reason why it is fixed, or -1, [classes].
        inexact: Whether a norm computes statistics over the class, [classes].
        heads: Whether a matrix product takes the class one by one, as it does attention heads, [classes].
        reasons: All reasons, by their numbers.
    """

    of: Array
    reason: Array
    inexact: npt.NDArray[np.bool_]
    heads: npt.NDArray[np.bool_]
    reasons: tuple[Reason, ...]

    def why(self, number: int) -> Reason | None:
        """Return the reason why the class is fixed, None if it is free."""
        reason = int(self.reason[number])
        return None if reason < 0 else self.reasons[reason]


class Labels:
    """All labels of one graph.

    A label ≥ 0 belongs to the index of a parameter. A negative label never leaves the graph: `POSITION`, or a
    channel that is fixed for a stated reason. Relations are gathered as arrays and resolved in `classes`.
    """

    def __init__(self) -> None:
        self._count = 0
        self._edges: list[tuple[Array, Array]] = []
        self._reasons: dict[Reason, int] = {}
        self._fixed: list[tuple[Array, int]] = []
        self._inexact: list[Array] = []
        self._heads: list[Array] = []
        self._copies: set[int] = set()

    def fresh(self, size: int) -> Array:
        """Return new labels, [size]."""
        start, self._count = self._count, self._count + size
        return np.arange(start, self._count, dtype=np.int64)

    def copies(self, size: int) -> Array:
        """Return new labels of what is there so many times, and may be there as often as what it meets, [size]."""
        copied = self.fresh(size)
        self._copies.update(copied.tolist())
        return copied

    def are_copies(self, labels: Array) -> bool:
        """Return whether these are labels that `copies` gave, all of them."""
        return bool(len(labels)) and int(labels[0]) in self._copies and self._copies.issuperset(labels.tolist())

    def constant(self, reason: Reason, size: int) -> Array:
        """Return labels of channels that cannot be removed, [size]."""
        number = self._reasons.setdefault(reason, len(self._reasons))
        return np.full(size, _FIRST_REASON - number, dtype=np.int64)

    def fix(self, labels: Array, reason: Reason) -> None:
        """Note that these labels cannot be removed; of several reasons for a class the first is told."""
        free = labels[labels >= 0]
        if free.size:
            self._fixed.append((free, self._reasons.setdefault(reason, len(self._reasons))))

    def inexact(self, labels: Array) -> None:
        """Note that a norm computes statistics over these labels."""
        self._inexact.append(labels[labels >= 0])

    def heads(self, labels: Array) -> None:
        """Note that a matrix product takes these one by one."""
        self._heads.append(labels[labels >= 0])

    def unify(self, one: Array, other: Array, place: str) -> Array:
        """Couple two label arrays of one size, index by index, and return the labels of the result."""
        if one.shape != other.shape:
            raise ValueError(f"{one.size} labels cannot meet {other.size}")
        both = (one >= 0) & (other >= 0)
        self._edges.append((one[both], other[both]))
        self._settle(one, other, place)
        self._settle(other, one, place)
        position = (one == POSITION) | (other == POSITION)
        # What meets copies is no copy.
        met = other if self.are_copies(one) else one if self.are_copies(other) else np.maximum(one, other)
        return np.where(position, POSITION, met)

    def tie(self, rows: Array, place: str) -> Array:
        """Couple the rows, [rows, size], with each other and return the labels of the result, [size]."""
        first = np.tile(rows[0], len(rows) - 1)
        self.unify(first, rows[1:].reshape(-1), place)
        return np.where((rows == POSITION).any(axis=0), POSITION, rows.max(axis=0))

    def _settle(self, free: Array, other: Array, place: str) -> None:
        """A label that meets a fixed one is fixed for the same reason."""
        mixed = (free >= 0) & (other < 0)
        for value in np.unique(other[mixed]):
            if value == POSITION:
                reason = Reason(f"tied to a dimension that holds no channels at {place}")
            else:
                reason = list(self._reasons)[_FIRST_REASON - int(value)]
            self.fix(free[mixed & (other == value)], reason)

    def classes(self) -> Classes:
        """Return what follows from all relations noted so far."""
        number, of = self._components()
        reason = np.full(number, -1, dtype=np.int64)
        for labels, why in reversed(self._fixed):
            reason[of[labels]] = why
        inexact, heads = (self._marked(number, of, noted) for noted in (self._inexact, self._heads))
        return Classes(of, reason, inexact, heads, tuple(self._reasons))

    @staticmethod
    def _marked(number: int, of: Array, noted: list[Array]) -> npt.NDArray[np.bool_]:
        marked = np.zeros(number, dtype=np.bool_)
        for labels in noted:
            marked[of[labels]] = True
        return marked

    def _components(self) -> tuple[int, Array]:
        from scipy.sparse import coo_array  # slow to import, and not every session asks for groups
        from scipy.sparse.csgraph import connected_components

        nothing = np.empty(0, dtype=np.int64)
        rows = np.concatenate([nothing, *(one for one, _ in self._edges)])
        columns = np.concatenate([nothing, *(other for _, other in self._edges)])
        shape = (self._count, self._count)
        edges: Any = coo_array((np.ones(rows.size, dtype=np.int8), (rows, columns)), shape=shape)
        number, of = connected_components(edges.tocsr(), directed=False)
        return int(number), np.asarray(of, dtype=np.int64)
