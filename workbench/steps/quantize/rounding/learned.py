"""Rounding up or down as gradient descent finds out.

Nagel et al.: "Up or Down? Adaptive Rounding for Post-Training Quantization" (AdaRound), 2020. The layer's squared
error is computed from second moments instead of batches, so that every step sees all calibration samples.
"""

from __future__ import annotations

import torch
from torch import Tensor

from workbench.checkpoint.coding import Uniform
from workbench.errors import WorkbenchError
from workbench.registry import register
from workbench.steps.calibration import damped
from workbench.steps.quantize.rounding.layerwise import Check, Grid, Layerwise

STEPS = 500
WARM_UP = 0.2
LEARNING_RATE = 0.02
# Of the pull towards 0 or 1, against the error of rounding to the nearest as one.
PULL = 0.5
SHARPNESS = (20.0, 2.0)
STRETCH = (-0.1, 1.1)


def neighbours(weight: Tensor, grid: Grid) -> tuple[Tensor, Tensor]:
    """Return the two values of an integer grid around every weight, float64 [outputs, d] each.

    Of a weight beyond the grid's end these are the last two.
    """
    coding = grid.coding
    if not isinstance(coding, Uniform):
        raise WorkbenchError(f"learned rounding goes up or down on an integer grid, not on {coding.kind}")
    shaped = weight.float().view(grid.shape)
    codes = coding.codes(shaped)
    below = (codes - (coding.values(codes) > shaped).long()).clamp(0, coding.high - coding.low - 1)
    return coding.values(below).flatten(1).double(), coding.values(below + 1).flatten(1).double()


def learned(
    weight: Tensor, second: Tensor, grid: Grid, keep: Tensor, steps: int = STEPS, *, check: Check = lambda: None
) -> Tensor:
    """Return every weight rounded to one of its neighbours, float64 [outputs, d].

    Args:
        weight: float64 [outputs, d].
        second: H, float64 [d, d].
        grid: Where they go.
        keep: bool [outputs, d], false where a weight has to stay zero.
        steps: Of Adam.
        check: Called now and then; raises an error to stop it.
    """
    low, high = neighbours(weight, grid)
    moments = damped(second.unsqueeze(0))[0].float()
    target, span, bottom = weight.float(), (high - low).float(), low.float()
    nearest = grid.round(weight).float() - target
    unit = float(((nearest @ moments) * nearest).sum().clamp(min=1e-30))
    part = ((target - bottom) / span).clamp(0.01, 0.99)
    place = torch.logit((part - STRETCH[0]) / (STRETCH[1] - STRETCH[0])).requires_grad_()
    optimizer = torch.optim.Adam([place], lr=LEARNING_RATE)
    for step in range(steps):
        check()
        up = (torch.sigmoid(place) * (STRETCH[1] - STRETCH[0]) + STRETCH[0]).clamp(0, 1)
        change = (bottom + up * span - target) * keep
        loss = ((change @ moments) * change).sum() / unit
        done = (step / steps - WARM_UP) / (1 - WARM_UP)
        if done > 0:
            sharpness = SHARPNESS[1] + (SHARPNESS[0] - SHARPNESS[1]) * (1 - done)
            loss = loss + PULL * (1 - (2 * up - 1).abs().pow(sharpness)).mean() * up.numel() ** 0.5
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
        optimizer.step()
    return torch.where(place.detach() >= 0, high, low) * keep


@register
class Learned(Layerwise):
    kind = "learned"
    position = 4
    title = "Learned (AdaRound)"
    uniform = True

    def rows(self, weight: Tensor, prepared: Tensor, grid: Grid, keep: Tensor, check: Check) -> Tensor:
        with torch.enable_grad():
            return learned(weight, prepared, grid, keep, check=check)
