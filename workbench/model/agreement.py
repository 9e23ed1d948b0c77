"""Whether two ways of computing the same give the same."""

from __future__ import annotations

import torch
from torch import Tensor


def agree(values: Tensor, wanted: Tensor, tolerance: float) -> bool:
    """Return whether two tensors are equal but for rounding, on the scale of the wanted values.

    Args:
        values: Of any shape.
        wanted: Of the same shape, or they do not agree.
        tolerance: Largest difference, as a part of the largest magnitude among the wanted values. Nothing is added to
            it: outputs of 1e-5 that differ by their sign are not the same.
    """
    if values.shape != wanted.shape:
        return False
    if not wanted.numel():
        return True
    if not wanted.is_floating_point():
        return torch.equal(values, wanted)
    scale = float(wanted.abs().max())
    return torch.allclose(values.to(wanted.dtype), wanted, rtol=tolerance, atol=tolerance * scale)
