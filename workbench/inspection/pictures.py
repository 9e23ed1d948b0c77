"""Samples and attributions as pictures, or as text where they are none."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from workbench.task.device import CPU

LEAST_SIDE = 4
MOST_VALUES = 24


def picture(sample: Tensor, mean: Sequence[float] | None = None, std: Sequence[float] | None = None) -> Tensor | None:
    """Return a sample as an image uint8 [H, W, 3], None if it is none.

    Args:
        sample: [H, W] or [1 or 3, H, W].
        mean: What was subtracted from each channel after scaling to 0 … 1; without it the range of values is stretched.
        std: What was divided by.
    """
    if sample.ndim == 2:
        sample = sample[None]
    if sample.ndim != 3 or len(sample) not in (1, 3) or min(sample.shape[1:]) < LEAST_SIDE:
        return None
    values = sample.detach().to(CPU).float()
    if mean is not None and std is not None and len(mean) == len(values):
        values = values * torch.tensor(std).view(-1, 1, 1) + torch.tensor(mean).view(-1, 1, 1)
    else:
        low, high = float(values.min()), float(values.max())
        values = (values - low) / max(high - low, 1e-12)
    return (values.clamp(0, 1) * 255).round().byte().expand(3, -1, -1).movedim(0, -1).contiguous()


def heat(attribution: Tensor, limit: float, colors: tuple[tuple[int, int, int], tuple[int, int, int]]) -> Tensor:
    """Return attributions as an image uint8 [H, W, 3], white where there is nothing.

    Args:
        attribution: [H, W] or [C, H, W], summed over channels.
        limit: Value at which a colour is full.
        colors: Of what speaks against and for.
    """
    values = (attribution if attribution.ndim == 2 else attribution.sum(0)).to(CPU)
    share = (values / max(limit, 1e-12)).clamp(-1, 1).unsqueeze(-1)
    against, favour = (torch.tensor(color, dtype=torch.float32) for color in colors)
    full = torch.where(share < 0, against, favour)
    return (255 + (full - 255) * share.abs()).round().byte()


def words(sample: Tensor) -> str:
    """Return the first values of a sample that is no image."""
    flat = sample.detach().flatten()
    shown = [f"{value:g}" if isinstance(value, int) else f"{value:.3g}" for value in flat[:MOST_VALUES].tolist()]
    return ", ".join(shown) + (f", … ({len(flat):,} values)" if len(flat) > MOST_VALUES else "")
