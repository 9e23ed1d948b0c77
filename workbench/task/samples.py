"""Data that can be read by index in any order, whatever it came as."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, default_collate

from workbench.errors import WorkbenchError
from workbench.task.identity import tensor_bytes

DIGEST_BATCH = 256
Batch = tuple[tuple[Tensor, ...], Tensor]


class Samples:
    """Inputs and targets by index.

    Args:
        source: A torch map-style dataset whose items are `(input, target)`, `(input, ..., target)` or
            `((input, ...), target)`.
    """

    def __init__(self, source: Dataset[Any]) -> None:
        self.source = source
        if len(self) == 0:
            raise WorkbenchError("the data is empty; at least one sample is needed")

    def __len__(self) -> int:
        return len(self.source)  # type: ignore[arg-type]  # torch's Dataset leaves __len__ to its subclasses

    def batch(self, indices: Sequence[int]) -> Batch:
        """Return `((input [n, ...], ...), targets [n, ...])` for these samples, in this order.

        Raises:
            WorkbenchError: The dataset's items are of another form.
        """
        found = default_collate([self.source[int(i)] for i in indices])
        *given, targets = found if isinstance(found, tuple | list) else (found,)
        inputs = [value for one in given for value in (one if isinstance(one, tuple | list) else (one,))]
        if not inputs or not all(isinstance(value, Tensor) for value in (*inputs, targets)):
            kinds = ", ".join(type(value).__name__ for value in (*given, targets))
            raise WorkbenchError(f"a sample must be (input, target) or (input, ..., target) in tensors, not ({kinds})")
        for value in inputs:
            check_finite(value, indices)
        return tuple(inputs), targets

    @cached_property
    def digest(self) -> str:
        """Hex digits that change with any sample. They are read once, all of them, unless the dataset has its own."""
        own = getattr(getattr(self, "source", None), "digest", None)
        if callable(own):
            return str(own())
        digest = hashlib.sha256()
        for start in range(0, len(self), DIGEST_BATCH):
            inputs, targets = self.batch(range(start, min(start + DIGEST_BATCH, len(self))))
            for part in (*inputs, targets):
                digest.update(tensor_bytes(part))
        return digest.hexdigest()


class ArraySamples(Samples):
    """Samples held as arrays; uint8 images stay bytes in memory and are normalised as they are read.

    Args:
        inputs: One array or several, each `[N, ...]`. uint8 is divided by 255.
        targets: `[N, ...]`: class numbers (integers) or values (floats).
        mean: Per channel (dim 1), subtracted after the division; needs `std`.
        std: Per channel (dim 1), divided by.
    """

    def __init__(
        self,
        inputs: Any,
        targets: Any,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> None:
        several = inputs if isinstance(inputs, tuple | list) else (inputs,)
        self.inputs = tuple(_tensor(value) for value in several)
        self.targets = _tensor(targets)
        counts = {len(value) for value in (*self.inputs, self.targets)}
        if len(counts) != 1:
            raise WorkbenchError(f"inputs and targets differ in number: {sorted(counts)}")
        if counts == {0}:
            raise WorkbenchError("the data is empty; at least one sample is needed")
        if not self.targets.is_floating_point():
            # A column of labels is labels; left as it is, it would be compared with every sample.
            column = self.targets.ndim == 2 and self.targets.shape[1] == 1
            self.targets = (self.targets.squeeze(1) if column else self.targets).long()
        for value in self.inputs:
            check_finite(value)
        self.mean, self.std = mean, std
        self._check_scale()

    def _check_scale(self) -> None:
        if self.mean is None or self.std is None:
            return
        for value in self.inputs:
            channels = value.shape[1] if value.ndim > 1 else 1
            if value.dtype == torch.uint8 and {len(self.mean), len(self.std)} != {channels}:
                raise WorkbenchError(
                    f"mean and std need one number for each of the {channels} channels; "
                    f"there are {len(self.mean)} and {len(self.std)}"
                )
        if min(self.std) <= 0:
            raise WorkbenchError(f"std is divided by, so each must be above 0; it is {tuple(self.std)}")

    def __len__(self) -> int:
        return len(self.targets)

    def batch(self, indices: Sequence[int]) -> Batch:
        chosen = torch.as_tensor(indices)
        return tuple(self._read(value, chosen) for value in self.inputs), self.targets[chosen]

    @cached_property
    def digest(self) -> str:
        """Hex digits that change with any sample, or with how it is normalised."""
        digest = hashlib.sha256(f"{self.mean} {self.std}".encode())
        for part in (*self.inputs, self.targets):
            digest.update(f"{part.dtype} {tuple(part.shape)}".encode() + tensor_bytes(part))
        return digest.hexdigest()

    def _read(self, value: Tensor, chosen: Tensor) -> Tensor:
        rows = value[chosen]
        if rows.dtype != torch.uint8:
            return rows
        rows = rows.float().div_(255)
        if self.mean is not None and self.std is not None:
            shape = (1, -1, *(1,) * (rows.ndim - 2))
            rows = (rows - torch.tensor(self.mean).view(shape)) / torch.tensor(self.std).view(shape)
        return rows


def check_finite(value: Tensor, numbers: Sequence[int] | None = None) -> None:
    """Raise an error that names the first sample of inputs `[n, ...]` that is no finite number.

    Args:
        value: Inputs of several samples.
        numbers: Their places in the split; their places in `value` by default.

    Raises:
        WorkbenchError: One is NaN or infinite, or all are complex numbers.
    """
    if value.is_complex():
        raise WorkbenchError("the inputs are complex numbers; give their real and imaginary parts as two channels")
    # A sum is a number only if all are; it is much faster than looking at each.
    if not value.is_floating_point() or torch.isfinite(value.sum(dtype=torch.float64)):
        return
    broken = ~torch.isfinite(value).reshape(len(value), -1).all(1)
    if broken.any():
        place = int(broken.nonzero()[0])
        number = place if numbers is None else int(numbers[place])
        raise WorkbenchError(
            f"sample {number} holds NaN or infinite values ({int(broken.sum())} of {len(value)} samples do); "
            "clean the data first"
        )


def samples(data: Any, mean: Sequence[float] | None = None, std: Sequence[float] | None = None) -> Samples:
    """Return `Samples` from arrays, a dataset, a loader, or a function that gives one of these.

    Raises:
        WorkbenchError: The data is empty, cannot be indexed, or is of no known kind.
    """
    if isinstance(data, Samples):
        return data
    if isinstance(data, DataLoader):
        return samples(data.dataset, mean, std)
    if isinstance(data, tuple | list) and len(data) == 2 and not isinstance(data[0], Dataset):
        return ArraySamples(data[0], data[1], mean, std)
    if isinstance(data, IterableDataset) or (isinstance(data, Dataset) and not hasattr(data, "__len__")):
        raise WorkbenchError("an iterable dataset has no order to sample from; give a map-style dataset or arrays")
    if isinstance(data, Dataset) or (hasattr(data, "__getitem__") and hasattr(data, "__len__")):
        return Samples(data)
    raise WorkbenchError(
        f"data of type {type(data).__name__} is not understood; give (inputs, targets) arrays, a dataset or a loader"
    )


def _nothing() -> Samples:
    raise WorkbenchError("this split was made without a way to make it")


class Lazy:
    """A split that is made when it is first read."""

    def __init__(self, make: Callable[[], Samples]) -> None:
        self._make = make
        self._made: Samples | None = None

    @classmethod
    def of(cls, made: Samples) -> Lazy:
        """Return a split that is there already."""
        lazy = cls(_nothing)
        lazy._made = made
        return lazy

    def get(self) -> Samples:
        """Return the split, making it on the first call."""
        if self._made is None:
            self._made = self._make()
        return self._made


def _tensor(value: Any) -> Tensor:
    if isinstance(value, Tensor):
        return value.detach()
    array = np.ascontiguousarray(value)
    return torch.from_numpy(array if array.flags.writeable else array.copy())
