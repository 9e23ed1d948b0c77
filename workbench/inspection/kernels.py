"""Weights of a layer as a picture: a kernel for each pair of channels, and where it is zero."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from workbench.inspection.pictures import heat
from workbench.task.device import CPU

MOST_KERNELS, MOST_VALUES = 32, 128  # on a side, of kernels and of single weights
AGAINST, FAVOUR, ZERO, GAP = (196, 78, 0), (0, 114, 178), 150, 255


@dataclass(frozen=True, eq=False)
class KernelPicture:
    """A picture and what it shows of the layer.

    Attributes:
        image: uint8 [H, W, 3]; orange is below zero, blue above, grey is zero, white lies between kernels.
        outputs: Rows of kernels that are shown, and how many there are.
        inputs: Columns, likewise.
    """

    image: Tensor
    outputs: tuple[int, int]
    inputs: tuple[int, int]


def kernel_picture(weight: Tensor, outputs: int = 0, limit: float | None = None) -> KernelPicture:
    """Return the first kernels of a weight of two or more dimensions as a picture.

    Args:
        weight: Any weight; of one with three kernel dimensions the first two lie below each other.
        outputs: The dimension that counts output channels.
        limit: Magnitude at which a colour is full, None for the 99th percentile.
    """
    values = weight.detach().to(CPU).float().movedim(outputs, 0)
    flat = values.ndim == 2
    kernels = values[:, :, None, None] if flat else values.reshape(*values.shape[:2], -1, values.shape[-1])
    most = MOST_VALUES if flat else MOST_KERNELS
    whole = kernels.shape[:2]
    kernels = kernels[:most, :most]
    if limit is None:
        thin = kernels.abs().flatten()
        limit = float(thin[:: max(len(thin) // 100_000, 1)].quantile(0.99))
    rows, columns, high, wide = kernels.shape
    gap = 0 if flat else 1
    image = torch.full((rows * (high + gap), columns * (wide + gap), 3), GAP, dtype=torch.uint8)
    picture = heat(kernels.permute(0, 2, 1, 3).reshape(rows * high, columns * wide), limit, (AGAINST, FAVOUR))
    picture[(kernels.permute(0, 2, 1, 3).reshape(rows * high, columns * wide) == 0)] = ZERO
    if not gap:
        return KernelPicture(picture, (rows, whole[0]), (columns, whole[1]))
    inside = image.view(rows, high + gap, columns, wide + gap, 3)
    inside[:, :high, :, :wide] = picture.view(rows, high, columns, wide, 3)
    return KernelPicture(image, (rows, whole[0]), (columns, whole[1]))
