"""A layer's weight as a product of smaller ones, for any rank.

- *channel*: all inputs to a few channels, these to all outputs (k×k, then 1×1). Zhang et al.: "Accelerating Very Deep
  Convolutional Networks for Classification and Detection", 2016. For a linear layer this is the singular value
  decomposition.
- *spatial*: vertical filters, then horizontal ones (k×1, then 1×k). Jaderberg, Vedaldi, Zisserman: "Speeding up
  Convolutional Neural Networks with Low Rank Expansions", 2014, scheme 2; Tai et al.: "Convolutional Neural Networks
  with Low-Rank Regularization", 2016, for the closed form.

With second moments G of what the layer multiplies, the error at the layer's output is made small instead of that of its
weights, tr(E G E^T) instead of tr(E E^T), as in Wang et al.: "SVD-LLM: Truncation-aware Singular Value Decomposition",
2025. Weights are in the order of `patches` in `workbench.steps.calibration`; all is computed in double precision.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

Shape = tuple[int, ...]
TINY = 1e-6  # of the mean second moment: what is added to all


def in_groups(tensor: Tensor, groups: int) -> Tensor:
    """Return a tensor with its first dimension as [groups, rest]."""
    return tensor.reshape(groups, -1, *tensor.shape[1:])


def composed(first: Tensor, second: Tensor, groups: int = 1) -> Tensor:
    """Return the one weight that does what two do after each other, [out, in / groups, *kernel].

    Args:
        first: [groups * rank, in / groups, *kernel].
        second: [out, rank, *kernel]; where one kernel is longer than 1 in a direction, the other is not.
        groups: Of both.
    """
    one, other = in_groups(first, groups), in_groups(second, groups)
    return torch.einsum("gri...,gor...->goi...", one, other).flatten(0, 1)


def regular(second: Tensor) -> Tensor:
    """Return second moments [..., d, d] that can be inverted, though some inputs never occur."""
    mean = second.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None, None]
    return second + torch.eye(second.shape[-1], dtype=second.dtype, device=second.device) * torch.where(
        mean > 0, TINY * mean, 1.0
    )


def directions(matrix: Tensor, second: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return orthonormal directions of a matrix's outputs, the one with most energy first, and their energies.

    Args:
        matrix: [..., out, d].
        second: Of its inputs, [..., d, d]; None for inputs that are alike and independent.

    Returns:
        [..., out, k] and [..., k], with k the smaller of out and d; energies add up to tr(W G W^T).
    """
    rows, columns = matrix.shape[-2:]
    if second is not None and rows > columns:
        matrix = matrix @ torch.linalg.cholesky(regular(second))
    if rows > columns or second is None:
        left, values, _ = torch.linalg.svd(matrix, full_matrices=False)
        return left, values.square()
    energies, left = torch.linalg.eigh(matrix @ second @ matrix.mT)
    return left.flip(-1), energies.flip(-1).clamp(min=0)


def refitted(last: Tensor, basis: Tensor, weight: Tensor, second: Tensor) -> Tensor:
    """Return the last factor with the least error at the outputs, given those before it.

    Args:
        last: As it is, [out, n].
        basis: What it multiplies as a linear function of the layer's inputs, [n, d].
        weight: What the product should be, [out, d].
        second: Of the layer's inputs, [d, d].
    """
    gap = (weight - last @ basis) @ second @ basis.T
    step: Tensor = torch.linalg.solve(regular(basis @ second @ basis.T), gap, left=False)
    return last + step


class Split(ABC):
    """A weight taken apart once, from which factors of any rank come.

    Args:
        weight: [out, in / groups, *kernel].
        groups: Of the layer.
        second: Second moments of its inputs, [groups, d, d], None to approximate the weight itself.

    Class attributes:
        kind: The form's name.
        rounds: Whether ranks are numbers of channels, and so may be rounded to what kernels like.
    """

    kind: ClassVar[str]
    rounds: ClassVar[bool] = True

    def __init__(self, weight: Tensor, groups: int = 1, second: Tensor | None = None) -> None:
        self.weight, self.groups = weight.detach().double(), groups
        self.second = None if second is None else second.double()

    @classmethod
    @abstractmethod
    def fits(cls, shape: Shape, groups: int) -> bool:
        """Return whether a weight of this shape can be written so."""

    @classmethod
    @abstractmethod
    def shapes(cls, shape: Shape, groups: int, rank: int) -> tuple[Shape, ...]:
        """Return the shapes of the factors, of which the first is applied first."""

    @classmethod
    @abstractmethod
    def most(cls, shape: Shape, groups: int) -> int:
        """Return the rank at which the product is the weight itself."""

    @classmethod
    @abstractmethod
    def carrier(cls, dim: int) -> int:
        """Return the number of the factor that has the layer's size, stride and padding in a direction."""

    @classmethod
    def groups_of(cls, shape: Shape, groups: int, number: int) -> int:
        """Return the groups of a factor: as a rule those of the layer."""
        return groups

    @abstractmethod
    def rough(self, rank: int) -> tuple[Tensor, ...]:
        """Return the factors as they come from the decomposition."""

    def error(self, rank: int) -> float:
        """Return the part of the outputs' energy that the factors get wrong, or of the weight's without inputs."""
        product = self.product(self.rough(rank))
        gap, whole = (self._energy(weight) for weight in (self.weight - product, self.weight))
        return gap / whole if whole else 0.0

    def product(self, factors: tuple[Tensor, ...]) -> Tensor:
        """Return the weight that factors are together."""
        product = factors[0]
        for factor in factors[1:]:
            product = composed(product, factor, self.groups)
        return product

    def factors(self, rank: int) -> tuple[Tensor, ...]:
        """Return the factors, float64, the last one fitted to the outputs where inputs are known."""
        return self.rough(rank)

    def _energy(self, weight: Tensor) -> float:
        rows = in_groups(weight.flatten(1), self.groups)
        return float((rows.square() if self.second is None else (rows @ self.second) * rows).sum())


class ChannelSplit(Split):
    """k×k to a few channels, then 1×1 to all; the groups of a grouped convolution apart."""

    kind: ClassVar[str] = "channel"

    def __init__(self, weight: Tensor, groups: int = 1, second: Tensor | None = None) -> None:
        super().__init__(weight, groups, second)
        self._rows = in_groups(self.weight.flatten(1), groups)
        self._left, self._energies = directions(self._rows, self.second)

    @classmethod
    def fits(cls, shape: Shape, groups: int) -> bool:
        return cls.most(shape, groups) > 1

    @classmethod
    def most(cls, shape: Shape, groups: int) -> int:
        return min(shape[0] // groups, math.prod(shape[1:]))

    @classmethod
    def shapes(cls, shape: Shape, groups: int, rank: int) -> tuple[Shape, ...]:
        return (groups * rank, *shape[1:]), (shape[0], rank, *(1 for _ in shape[2:]))

    @classmethod
    def carrier(cls, dim: int) -> int:
        return 0

    def error(self, rank: int) -> float:
        whole = float(self._energies.sum())
        return float(self._energies[:, rank:].sum()) / whole if whole else 0.0

    def rough(self, rank: int) -> tuple[Tensor, ...]:
        left = self._left[..., :rank]
        first, second = left.mT @ self._rows, left
        shapes = self.shapes(tuple(self.weight.shape), self.groups, rank)
        return first.reshape(shapes[0]), second.reshape(shapes[1])


class SpatialSplit(Split):
    """Vertical filters, then horizontal ones."""

    kind: ClassVar[str] = "spatial"

    def __init__(self, weight: Tensor, groups: int = 1, second: Tensor | None = None) -> None:
        super().__init__(weight, groups, second)
        out, inside, high, wide = self.weight.shape
        self._columns = self.weight.permute(0, 3, 1, 2).reshape(out * wide, inside * high)
        vertical = None
        if self.second is not None:
            # What a vertical filter reads is alike in every column of a patch, so their moments are averaged.
            blocks = self.second.reshape(inside * high, wide, inside * high, wide)
            vertical = blocks.diagonal(dim1=1, dim2=3).mean(-1)
        self._left, _ = directions(self._columns, vertical)

    @classmethod
    def fits(cls, shape: Shape, groups: int) -> bool:
        return groups == 1 and len(shape) == 4 and min(shape[2:]) > 1

    @classmethod
    def most(cls, shape: Shape, groups: int) -> int:
        return min(shape[0] * shape[3], shape[1] * shape[2])

    @classmethod
    def shapes(cls, shape: Shape, groups: int, rank: int) -> tuple[Shape, ...]:
        return (rank, shape[1], shape[2], 1), (shape[0], rank, 1, shape[3])

    @classmethod
    def carrier(cls, dim: int) -> int:
        return dim

    def rough(self, rank: int) -> tuple[Tensor, ...]:
        out, inside, high, wide = self.weight.shape
        left = self._left[:, :rank]
        first = (left.T @ self._columns).reshape(rank, inside, high, 1)
        return first, left.reshape(out, wide, rank).permute(0, 2, 1)[:, :, None]

    def factors(self, rank: int) -> tuple[Tensor, ...]:
        first, last = self.rough(rank)
        if self.second is None:
            return first, last
        wide = self.weight.shape[3]
        # Column x of the last factor multiplies the vertical filters at column x of the patch.
        basis = (
            torch.einsum("riy,xz->rxiyz", first[..., 0], torch.eye(wide, dtype=first.dtype, device=first.device))
            .flatten(2)
            .flatten(0, 1)
        )
        fitted = refitted(last.flatten(1), basis, self.weight.flatten(1), self.second[0])
        return first, fitted.view_as(last)
