"""Kernels as pictures: a pixel a weight, zeros in grey, gaps in white."""

from __future__ import annotations

import torch

from workbench.inspection.kernels import GAP, MOST_KERNELS, ZERO, kernel_picture


def test_every_weight_is_a_pixel_and_zeros_are_grey() -> None:
    weight = torch.ones(4, 3, 3, 3)
    weight[1, 2, 0, 1] = 0
    weight[2, 0] = -1
    made = kernel_picture(weight, limit=1.0)
    assert made.image.shape == (16, 12, 3)
    assert (made.image == ZERO).all(-1).nonzero().tolist() == [[4, 9]]
    assert made.image[4, 8 + 2].tolist() == [0, 114, 178]
    assert made.image[3].unique().tolist() == [GAP]
    assert made.image[8, 0].tolist() == [196, 78, 0]


def test_of_a_large_weight_the_first_kernels_are_shown() -> None:
    made = kernel_picture(torch.randn(64, 40, 3, 3))
    assert (made.outputs, made.inputs) == ((MOST_KERNELS, 64), (MOST_KERNELS, 40))
    turned = kernel_picture(torch.randn(10, 20, 5, 5), outputs=1)
    assert (turned.outputs, turned.inputs) == ((20, 20), (10, 10))
    assert kernel_picture(torch.randn(200, 100)).image.shape == (128, 100, 3)
    assert kernel_picture(torch.randn(6, 4, 3, 3, 3)).image.shape == (6 * 10, 4 * 4, 3)
