"""Data that can be read by index in any order, whatever it came as."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Self

import torch
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from workbench.errors import WorkbenchError, first_line
from workbench.task.batch import Call, Inputs, Tree, count, leaves, take, tensors
from workbench.task.device import CPU, moved
from workbench.task.identity import code_digest, tensor_bytes
from workbench.task.items import is_countable, parts, targets_of

DIGEST_BATCH = 256
LOOKED_AT = 8
Collate = Callable[[list[Any]], Any]
# Inputs as they are handed to a model, and targets.
Read = tuple[Inputs, Tree]


class Samples:
    """Inputs and targets by index.

    Args:
        source: A torch map-style dataset. Its items, or batches of them, are `(input, target)`, `(input, ..., target)`,
            `((input, ...), target)`, `(dict of inputs, target)`, a dict with the target in it, or a `Batch`.
        collate: What makes a batch of items; torch's own by default.
        target: Which key of a dict is the target; one of `TARGETS` by default.

    Attributes:
        call: How a model is called with the inputs, as far as that is the task's to say.
        device: Where batches are.
    """

    call: Call = Call()
    device: torch.device = CPU

    def __init__(self, source: Dataset[Any], collate: Collate | None = None, target: str = "") -> None:
        self.source, self._collate, self._target = source, collate, target
        if len(self) == 0:
            raise WorkbenchError("the data is empty; at least one sample is needed")

    def __len__(self) -> int:
        return len(self.source)  # type: ignore[arg-type]  # torch's Dataset leaves __len__ to its subclasses

    def called(self, call: Call) -> Self:
        """Return the same samples for a model that is called in another way."""
        same = copy.copy(self)
        same.call = call
        return same

    def batch(self, indices: Sequence[int]) -> Read:
        """Return inputs [n, ...] and targets [n, ...] of these samples, in this order.

        Raises:
            WorkbenchError: The dataset's items are of another form, or inputs are not finite.
        """
        items = _items(self.source, [int(i) for i in indices])
        try:
            collated = (self._collate or default_collate)(items)
        except (TypeError, RuntimeError, ValueError, KeyError, AttributeError) as error:  # what collate functions raise
            raise WorkbenchError(
                f"samples cannot be put together to a batch ({first_line(error)}); give a DataLoader with a collate_fn"
            ) from error
        args, kwargs, targets = parts(collated, self._target)
        inputs = Inputs.of(args, kwargs, self.call)
        if not inputs or not is_countable(targets):
            kinds = ", ".join(type(value).__name__ for value in (*args, *kwargs.values(), targets))
            raise WorkbenchError(
                "a sample must be (input, target), (input, ..., target) or a dict with the target in it, of tensors, "
                f"not ({kinds})"
            )
        for value in inputs:
            check_finite(value, indices)
        return inputs, targets

    @cached_property
    def digest(self) -> str:
        """Hex digits that change with any sample. They are read once, all of them, unless the dataset has its own."""
        own = getattr(getattr(self, "source", None), "digest", None)
        if callable(own):
            return str(own()) + (code_digest(self._collate) if self._collate else "")
        digest = hashlib.sha256()
        for start in range(0, len(self), DIGEST_BATCH):
            inputs, targets = self.batch(range(start, min(start + DIGEST_BATCH, len(self))))
            for part in (*inputs, *leaves(targets)):
                digest.update(tensor_bytes(part))
            if isinstance(targets, list):
                digest.update(code_digest(targets).encode())
        return digest.hexdigest()


class ArraySamples(Samples):
    """Samples held as arrays; uint8 images stay bytes in memory and are normalised as they are read.

    Args:
        inputs: One array or several (a tuple or list of them), or a dict of them by the model's parameters; each
            `[N, ...]`. uint8 is divided by 255.
        targets: `[N, ...]`: class numbers (integers) or values (floats), a tuple or dict of such arrays, or a list of
            one value of any kind for each sample.
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
        if isinstance(inputs, Inputs):
            self._whole = inputs
        elif isinstance(inputs, Mapping):
            self._whole = Inputs.of((), tensors(inputs))
        else:
            several = inputs if isinstance(inputs, tuple | list) else (inputs,)
            self._whole = Inputs.of(tuple(tensors(value) for value in several))
        self.targets = targets_of(targets)
        counts = {len(value) for value in (*self._whole, *leaves(self.targets))}
        counts |= {len(self.targets)} if isinstance(self.targets, list) else set()
        if len(counts) != 1:
            raise WorkbenchError(f"inputs and targets differ in number: {sorted(counts)}")
        if counts == {0}:
            raise WorkbenchError("the data is empty; at least one sample is needed")
        for value in self._whole:
            check_finite(value)
        self.mean, self.std = mean, std
        self._check_scale()

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """All inputs as they are held, before they are normalised."""
        return self._whole

    def _check_scale(self) -> None:
        if self.mean is None or self.std is None:
            return
        for value in self._whole:
            channels = value.shape[1] if value.ndim > 1 else 1
            if value.dtype == torch.uint8 and {len(self.mean), len(self.std)} != {channels}:
                raise WorkbenchError(
                    f"mean and std need one number for each of the {channels} channels; "
                    f"there are {len(self.mean)} and {len(self.std)}"
                )
        if min(self.std) <= 0:
            raise WorkbenchError(f"std is divided by, so each must be above 0; it is {tuple(self.std)}")

    def __len__(self) -> int:
        return count(self.targets)

    def batch(self, indices: Sequence[int]) -> Read:
        chosen = torch.as_tensor(indices, dtype=torch.int64)
        call = replace(self.call, structure=self._whole.call.structure)
        return Inputs((self._read(value, chosen) for value in self._whole), call), take(self.targets, chosen)

    @cached_property
    def digest(self) -> str:
        """Hex digits that change with any sample, or with how it is normalised."""
        digest = hashlib.sha256(f"{self.mean} {self.std}".encode())
        for part in (*self._whole, *leaves(self.targets)):
            digest.update(f"{part.dtype} {tuple(part.shape)}".encode() + tensor_bytes(part))
        if isinstance(self.targets, list):
            digest.update(code_digest(self.targets).encode())
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


class Placed(Samples):
    """Samples whose batches are on a device; what is kept of them stays where it is."""

    def __init__(self, whole: Samples, device: torch.device) -> None:
        self.whole, self.device, self.call = whole, device, whole.call

    @cached_property
    def digest(self) -> str:
        """Hex digits of the samples, wherever they are read."""
        return self.whole.digest

    def __len__(self) -> int:
        return len(self.whole)

    def called(self, call: Call) -> Placed:
        return Placed(self.whole.called(call), self.device)

    def batch(self, indices: Sequence[int]) -> Read:
        inputs, targets = self.whole.batch(indices)
        return moved(inputs, self.device), moved(targets, self.device)


def at_rest(samples: Samples) -> Samples:
    """Return samples as they were handed over, whatever device their batches go to."""
    return samples.whole if isinstance(samples, Placed) else samples


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


def free_dimensions(data: Samples) -> frozenset[tuple[int, int]]:
    """Return the dimensions, as (tensor, dimension), in which samples differ; a few are looked at."""
    if isinstance(data, ArraySamples):
        return frozenset()
    places = sorted({round(part * (len(data) - 1) / LOOKED_AT) for part in range(LOOKED_AT + 1)})
    shapes = [[tuple(value.shape) for value in data.batch([place])[0]] for place in places]
    return frozenset(
        (tensor, dim)
        for tensor, first in enumerate(shapes[0])
        for dim in range(1, len(first))
        if any(other[tensor][dim] != first[dim] for other in shapes)
    )


def _items(source: Any, indices: list[int]) -> list[Any]:
    """Return items of a dataset; all at once where it can, by the method that torch's loaders use too."""
    together = getattr(source, "__getitems__", None)
    return list(together(indices)) if callable(together) else [source[i] for i in indices]


def _nothing() -> Samples:
    raise WorkbenchError("this split was made without a way to make it")


class Lazy:
    """A split that is made when it is first read."""

    def __init__(self, make: Callable[[], Samples]) -> None:
        self._make = make
        self._made: Samples | None = None

    @classmethod
    def of(cls, data: Samples) -> Lazy:
        """Return a split that is there already."""
        lazy = cls(_nothing)
        lazy._made = data
        return lazy

    def get(self) -> Samples:
        """Return the split, making it on the first call."""
        if self._made is None:
            self._made = self._make()
        return self._made
