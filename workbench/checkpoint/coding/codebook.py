"""A codebook: values of any kind, few of them, each used by many weights.

Han, Mao, Dally: "Deep Compression", 2016.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from workbench.checkpoint.coding.coding import Coding
from workbench.checkpoint.coding.levels import nearest
from workbench.registry import register


@register
@dataclass(frozen=True, eq=False)
class Codebook(Coding):
    """Rising values, one list for the tensor.

    Attributes:
        bits: Of a code.
        book: float32 [at most 2**bits], rising, none twice.
    """

    kind: ClassVar[str] = "codebook"
    bits: int
    book: Tensor

    @property
    def count(self) -> int:
        return len(self.book)

    def codes(self, values: Tensor) -> Tensor:
        return nearest(self.book, values.float())

    def values(self, codes: Tensor) -> Tensor:
        return self.book[codes]

    def tables(self) -> dict[str, Tensor]:
        return {"book": self.book}

    def facts(self) -> dict[str, Any]:
        return {"bits": self.bits}

    @classmethod
    def read(cls, facts: Mapping[str, Any], tables: Mapping[str, Tensor]) -> Codebook:
        return cls(facts["bits"], tables["book"])

    def select(self, dim: int, keep: Sequence[int]) -> Codebook:
        return self
