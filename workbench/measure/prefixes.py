"""What enters the changed part of a model, kept by sample within a bound of memory.

Rows are kept for each value on its own, because neighbouring borders share values. When memory runs out the value
that was not used for longest is forgotten; when that is not enough, rows are just not kept.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence

import psutil
import torch
from torch import Tensor

from workbench.task.device import CPU

SHARE = 0.25  # of the memory that is free


def free_share(device: torch.device = CPU) -> int:
    """Return the bytes of a device that may be used when nothing else is said."""
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available
    return int(SHARE * free)


class Rows:
    """One value's rows, in the order they came, found by sample number."""

    def __init__(self, total: int, capacity: int, first: Tensor) -> None:
        # Rows lie in memory as they are computed, or every batch would be turned around twice.
        strides = first.stride()
        inner = sorted(range(1, first.dim()), key=lambda dim: -strides[dim])
        self._order = [0, *inner]
        self._back = [self._order.index(dim) for dim in range(first.dim())]
        shape = [capacity, *(first.shape[dim] for dim in inner)]
        self._buffer = torch.empty(
            shape, dtype=first.dtype, device=first.device
        )  # memory is taken only as rows are written
        self._places = torch.full((total,), -1, dtype=torch.int64)
        self.capacity, self.count = capacity, 0

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return bytes_of(self._buffer)

    def has(self, numbers: Tensor) -> Tensor:
        """Return which of the samples are here, bool [n]."""
        return self._places[numbers] >= 0

    def get(self, numbers: Tensor) -> Tensor:
        """Return the rows of samples that are all here, in the order of memory they came with."""
        return self._buffer[self._places[numbers]].permute(self._back)

    def put(self, numbers: Tensor, values: Tensor) -> None:
        """Keep rows of samples that are not here yet, as many as there is place for."""
        count = min(len(numbers), self.capacity - self.count)
        self._buffer[self.count : self.count + count] = values[:count].permute(self._order)
        self._places[numbers[:count]] = torch.arange(self.count, self.count + count)
        self.count += count


def bytes_of(values: Tensor) -> int:
    """Return the bytes of one row of `values`."""
    return max(values[:1].numel() * values.element_size(), 1) if len(values) else 1


class Prefixes:
    """Rows of many values.

    Args:
        total: Number of samples.
        bound: Bytes that may be used, None for a quarter of what is free on the device.
        device: Where the values are.
    """

    def __init__(self, total: int, bound: int | None = None, device: torch.device = CPU) -> None:
        self.total = total
        self.bound = self.memory = free_share(device) if bound is None else bound
        self.peak = 0
        self._rows: OrderedDict[str, Rows] = OrderedDict()

    def reserve(self, size: int) -> None:
        """Leave some of the memory to whoever computes the rows, at most a half of it."""
        self.bound = self.memory - min(size, self.memory // 2)

    @property
    def bytes(self) -> int:
        """Bytes in use."""
        return sum(rows.count * rows.row_bytes for rows in self._rows.values())

    def has(self, names: Iterable[str], numbers: Tensor) -> Tensor:
        """Return for which samples all of these values are here, bool [n]."""
        there = torch.ones(len(numbers), dtype=torch.bool)
        for name in names:
            if name not in self._rows:
                return torch.zeros(len(numbers), dtype=torch.bool)
            there &= self._rows[name].has(numbers)
        return there

    def get(self, names: Iterable[str], numbers: Tensor) -> tuple[Tensor, ...]:
        """Return the rows of samples for which all values are here."""
        for name in names:
            self._rows.move_to_end(name)
        return tuple(self._rows[name].get(numbers) for name in names)

    def put(self, names: Sequence[str], numbers: Tensor, values: Sequence[Tensor]) -> None:
        """Keep what there is memory for; values with other names make place."""
        for name, value in zip(names, values, strict=True):
            missing = ~self._rows[name].has(numbers) if name in self._rows else torch.ones(len(numbers)).bool()
            count, size = int(missing.sum()), bytes_of(value)
            while self.bytes + count * size > self.bound and self._forget_oldest(names):
                pass
            count = min(count, max(self.bound - self.bytes, 0) // size)
            if not count or not self._open(name, value):
                continue
            self._rows[name].put(numbers[missing][:count], value[missing][:count])
            self._rows.move_to_end(name)
            self.peak = max(self.peak, self.bytes)

    def drop(self, names: Iterable[str]) -> None:
        """Forget values."""
        for name in names:
            self._rows.pop(name, None)

    def clear(self) -> None:
        """Forget everything."""
        self._rows.clear()

    def _open(self, name: str, first: Tensor) -> bool:
        if name in self._rows:
            return True
        capacity = min(self.total, self.bound // bytes_of(first))
        try:
            self._rows[name] = Rows(self.total, capacity, first)
        except RuntimeError:  # the allocator's way to say that there is not so much memory in one piece
            return False
        return True

    def _forget_oldest(self, but: Sequence[str]) -> bool:
        oldest = next((name for name in self._rows if name not in but), None)
        if oldest is None:
            return False
        del self._rows[oldest]
        return True
