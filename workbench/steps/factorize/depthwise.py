"""A convolution as pairs of a depthwise and a pointwise one: network decoupling.

Guo et al.: "Network Decoupling: From Regular to Depthwise Separable Convolutions", 2018. What an input channel gives to
all outputs, [out, kernel], is written as a few filters of that channel, each with a weight for every output; no data is
needed. All pairs together are one depthwise convolution with several filters a channel, then one of 1×1.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from workbench.steps.factorize.splits import Shape, Split, directions, refitted


class DepthwiseSplit(Split):
    """A few filters for each input channel, then 1×1 to all outputs. The rank is the number of filters a channel."""

    kind: ClassVar[str] = "depthwise"
    rounds: ClassVar[bool] = False

    def __init__(self, weight: Tensor, groups: int = 1, second: Tensor | None = None) -> None:
        super().__init__(weight, groups, second)
        out, inside = self.weight.shape[:2]
        self._slices = self.weight.reshape(out, inside, -1).transpose(0, 1)
        own = None
        if self.second is not None:
            kernel = self._slices.shape[-1]
            blocks = self.second.reshape(inside, kernel, inside, kernel)
            own = blocks.diagonal(dim1=0, dim2=2).permute(2, 0, 1)
        self._left, _ = directions(self._slices, own)

    @classmethod
    def fits(cls, shape: Shape, groups: int) -> bool:
        return groups == 1 and len(shape) > 2 and math.prod(shape[2:]) > 1 and min(shape[:2]) > 1

    @classmethod
    def most(cls, shape: Shape, groups: int) -> int:
        return min(shape[0], math.prod(shape[2:]))

    @classmethod
    def shapes(cls, shape: Shape, groups: int, rank: int) -> tuple[Shape, ...]:
        return (shape[1] * rank, 1, *shape[2:]), (shape[0], shape[1] * rank, *(1 for _ in shape[2:]))

    @classmethod
    def groups_of(cls, shape: Shape, groups: int, number: int) -> int:
        return 1 if number else shape[1]

    @classmethod
    def carrier(cls, dim: int) -> int:
        return 0

    def product(self, factors: tuple[Tensor, ...]) -> Tensor:
        first, second = factors
        inside = self.weight.shape[1]
        filters, weights = first.reshape(inside, -1, self._slices.shape[-1]), second.reshape(len(second), inside, -1)
        return torch.einsum("itk,oit->oik", filters, weights).view_as(self.weight)

    def rough(self, rank: int) -> tuple[Tensor, ...]:
        left = self._left[..., :rank]
        first, second = self.shapes(tuple(self.weight.shape), 1, rank)
        return (left.mT @ self._slices).reshape(first), left.transpose(0, 1).reshape(second)

    def factors(self, rank: int) -> tuple[Tensor, ...]:
        first, last = self.rough(rank)
        if self.second is None:
            return first, last
        inside = self.weight.shape[1]
        filters = first.reshape(inside, rank, -1)
        basis = (
            torch.einsum("itk,ij->itjk", filters, torch.eye(inside, dtype=first.dtype, device=first.device))
            .flatten(2)
            .flatten(0, 1)
        )
        return first, refitted(last.flatten(1), basis, self.weight.flatten(1), self.second[0]).view_as(last)
