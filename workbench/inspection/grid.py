"""The values that a quantized weight can take."""

from __future__ import annotations

import torch
from torch import Tensor

from workbench.checkpoint.coding import Coding
from workbench.task.device import CPU

MOST = 2**12


def grid_values(coding: Coding) -> tuple[list[float], int]:
    """Return the rising values of a coding's widest grid, and how many grids it has; [] where it is too fine to see.

    A weight with a scale for each channel, or for groups of inputs, has as many grids; the widest one's values reach
    furthest from zero.
    """
    scale = coding.tables().get("scale")
    grids = scale.numel() if scale is not None else 1
    if coding.count > MOST:
        return [], grids
    coding, codes = coding.on(CPU), torch.arange(coding.count)
    if scale is not None and scale.ndim:
        axis = int(getattr(coding, "axis", 0) or 0)
        row, group = divmod(int(scale.abs().argmax()), scale[0].numel())
        coding = coding.select(axis, [row])
        if scale.ndim > 1:
            coding = coding.select(1 - axis, [sum(getattr(coding, "groups", ())[:group])])
        codes = codes.unsqueeze(axis)
    return torch.unique(_finite(coding.values(codes))).tolist(), grids


def _finite(values: Tensor) -> Tensor:
    return values[torch.isfinite(values)]
