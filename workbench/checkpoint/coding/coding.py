"""What a coding is: a way to write a tensor's values as small whole numbers and a few tables."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from workbench.registry import Registry

PIECE = 1 << 18  # values that are coded together: codes and what they are computed of take twenty times their memory


@dataclass(frozen=True, eq=False)
class Coding(ABC):
    """Values as codes of `bits` bits. `values(codes(w)) == w` bit for bit, for every `w` on the grid.

    A subclass names its `kind` and is registered; it is found again by it when a file is read.

    Attributes:
        entropy: Whether codes are Huffman-coded in the file, where that makes them shorter.
    """

    kind: ClassVar[str]
    bits: int
    entropy: bool = field(default=False, kw_only=True)

    @abstractmethod
    def codes(self, values: Tensor) -> Tensor:
        """Return the codes of `values`, int64 of the same shape, each in [0, 2**bits)."""

    @abstractmethod
    def values(self, codes: Tensor) -> Tensor:
        """Return float32 values of `codes`, in their shape; a tensor of another type holds them rounded to it."""

    @abstractmethod
    def tables(self) -> dict[str, Tensor]:
        """Return what has to be stored beside the codes: scales, zero points, codebooks."""

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """Return plain JSON facts from which, with the tables, the coding is made again."""

    @classmethod
    @abstractmethod
    def read(cls, facts: Mapping[str, Any], tables: Mapping[str, Tensor]) -> Coding:
        """Return the coding of `facts` and `tables`."""

    @abstractmethod
    def select(self, dim: int, keep: Sequence[int]) -> Coding:
        """Return the coding of the tensor after only the indices `keep` of `dim` were kept."""

    def on(self, device: torch.device) -> Self:
        """Return the coding with its tables on a device, where the values are that it codes."""
        own = {one.name: getattr(self, one.name) for one in fields(self)}
        tables = {name: value.to(device) for name, value in own.items() if isinstance(value, Tensor)}
        return self if all(tables[name] is own[name] for name in tables) else replace(self, **tables)  # type: ignore[arg-type]  # of each field its own

    @property
    def count(self) -> int:
        """How many codes have a value: those from 0 on."""
        return 1 << self.bits

    def round(self, values: Tensor) -> Tensor:
        """Return the nearest values that have codes, float32 in the same shape."""
        parts = list(self.pieces(values))
        if len(parts) == 1:
            return self.values(self.codes(values))
        rounded, start = torch.empty(values.shape, device=values.device), 0
        for own, part in parts:
            rounded[start : start + len(part)] = own.values(own.codes(part))
            start += len(part)
        return rounded

    def holds(self, values: Tensor) -> bool:
        """Return whether `values` lie on the grid, so that storing codes loses nothing."""
        return all(bool((own.round(part).to(part.dtype) == part).all()) for own, part in self.pieces(values))

    def pieces(self, values: Tensor) -> Iterator[tuple[Coding, Tensor]]:
        """Yield parts of `values` along the first dimension, each with its own coding, to use little memory."""
        rows = max(PIECE // max(values[0].numel(), 1), 1) if values.ndim and len(values) else 1
        if values.ndim == 0 or rows >= len(values):
            yield self, values
            return
        for start in range(0, len(values), rows):
            part = values[start : start + rows]
            yield self.select(0, range(start, start + len(part))), part


CODINGS: Registry[type[Coding]] = Registry("coding", Coding)
