"""Rounding each input to where it serves best while all others stand, again and again.

Behdin et al.: "QuantEase: Optimization-based Quantization for Language Models", 2023 (cyclic coordinate descent),
started from second-order rounding. No pass makes the squared error of the outputs larger.
"""

from __future__ import annotations

from torch import Tensor

from workbench.registry import register
from workbench.steps.calibration import damped
from workbench.steps.quantize.rounding.layerwise import Check, Grid, Layerwise
from workbench.steps.quantize.rounding.second_order import Order, compensated, ordered

PASSES = 8


def descended(
    weight: Tensor,
    rounded: Tensor,
    second: Tensor,
    grid: Grid,
    keep: Tensor,
    passes: int = PASSES,
    *,
    check: Check = lambda: None,
) -> Tensor:
    """Return rows on the grid, float64 [outputs, d], whose trace(D H D^T) is at most that of `rounded`.

    Args:
        weight: float64 [outputs, d].
        rounded: Where to start, the same shape.
        second: H, float64 [d, d].
        grid: Where they go.
        keep: bool [outputs, d], false where a weight has to stay zero.
        passes: Over all inputs, at most.
        check: Called now and then; raises an error to stop it.
    """
    rounded = rounded.clone()
    slope = (rounded - weight) @ second  # half the gradient of every row's error
    for _ in range(passes):
        moved = False
        for j in range(weight.shape[1]):
            check()
            own = second[j, j]
            if own <= 0:
                continue
            best = grid.column(rounded[:, j] - slope[:, j] / own, j) * keep[:, j]
            step = best - rounded[:, j]
            if bool(step.any()):
                moved = True
                rounded[:, j] = best
                slope += step[:, None] * second[j]
        if not moved:
            break
    return rounded


@register
class Descent(Layerwise):
    kind = "descent"
    position = 3
    title = "Coordinate descent (QuantEase)"

    def prepared(self, second: Tensor) -> tuple[Order, Tensor]:
        return ordered(second), damped(second.unsqueeze(0))[0]

    def rows(self, weight: Tensor, prepared: tuple[Order, Tensor], grid: Grid, keep: Tensor, check: Check) -> Tensor:
        order, wide = prepared
        return descended(weight, compensated(weight, order, grid, keep, check), wide, grid, keep, check=check)
