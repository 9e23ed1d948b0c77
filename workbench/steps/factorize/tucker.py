"""Fewer input channels, a k×k core, and back to all outputs (1×1, k×k, 1×1): Tucker's form.

Kim et al.: "Compression of Deep Convolutional Neural Networks for Fast and Low Power Mobile Applications", 2016; found
by higher-order orthogonal iteration (De Lathauwer, De Moor, Vandewalle: "On the Best Rank-1 and Rank-(R1, ..., RN)
Approximation of Higher-Order Tensors", 2000).
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from workbench.steps.factorize.splits import TINY, Shape, Split, composed, directions, refitted, regular

SWEEPS = 4  # of the iteration, which settles after two or three


class TuckerSplit(Split):
    """1×1 to fewer channels, a k×k core, 1×1 to all outputs. The rank is that of the outputs."""

    kind: ClassVar[str] = "tucker"

    def __init__(self, weight: Tensor, groups: int = 1, second: Tensor | None = None) -> None:
        super().__init__(weight, groups, second)
        inside = self.weight.shape[1]
        self._root = self._unroot = torch.eye(inside, dtype=torch.float64, device=self.weight.device)
        if self.second is not None:
            kernel = math.prod(self.weight.shape[2:])
            blocks = self.second.reshape(inside, kernel, inside, kernel)
            moments = regular(blocks.diagonal(dim1=1, dim2=3).mean(-1))
            values, vectors = torch.linalg.eigh(moments)
            roots = values.clamp(min=float(values.max()) * TINY).sqrt()
            self._root, self._unroot = (vectors * roots) @ vectors.T, (vectors / roots) @ vectors.T
        self._white = torch.einsum("oi...,ij->oj...", self.weight, self._root)

    @classmethod
    def fits(cls, shape: Shape, groups: int) -> bool:
        return groups == 1 and len(shape) > 2 and math.prod(shape[2:]) > 1 and min(shape[:2]) > 1

    @classmethod
    def most(cls, shape: Shape, groups: int) -> int:
        return min(shape[0], math.prod(shape[1:]))

    @classmethod
    def inner(cls, shape: Shape, rank: int) -> int:
        """Return the rank of the inputs that goes with one of the outputs: the same part of all channels."""
        kernel = math.prod(shape[2:])
        return min(max(math.ceil(rank * shape[1] / shape[0]), math.ceil(rank / kernel)), shape[1], rank * kernel)

    @classmethod
    def shapes(cls, shape: Shape, groups: int, rank: int) -> tuple[Shape, ...]:
        inner, ones = cls.inner(shape, rank), tuple(1 for _ in shape[2:])
        return (inner, shape[1], *ones), (rank, inner, *shape[2:]), (shape[0], rank, *ones)

    @classmethod
    def carrier(cls, dim: int) -> int:
        return 1

    def rough(self, rank: int) -> tuple[Tensor, ...]:
        inner = self.inner(tuple(self.weight.shape), rank)
        white = self._white.flatten(2)
        into = directions(white.transpose(0, 1).flatten(1), None)[0][:, :inner]
        for _ in range(SWEEPS):
            out = directions(torch.einsum("oik,ij->ojk", white, into).flatten(1), None)[0][:, :rank]
            into = directions(torch.einsum("oik,oj->ijk", white, out).flatten(1), None)[0][:, :inner]
        core = torch.einsum("oik,oa,ij->ajk", white, out, into)
        first, middle, last = self.shapes(tuple(self.weight.shape), 1, rank)
        return (self._unroot @ into).T.reshape(first), core.reshape(middle), out.reshape(last)

    def factors(self, rank: int) -> tuple[Tensor, ...]:
        first, core, last = self.rough(rank)
        if self.second is None:
            return first, core, last
        basis = composed(first, core).flatten(1)
        return first, core, refitted(last.flatten(1), basis, self.weight.flatten(1), self.second[0]).view_as(last)
