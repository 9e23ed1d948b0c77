"""Rounding one input after the other; the inputs not yet rounded make up for the error.

Frantar, Ashkboos, Hoefler, Alistarh: "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained
Transformers", 2023, with inputs in the order of falling second moments.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from workbench.registry import register
from workbench.steps.calibration import inverse_factor
from workbench.steps.quantize.rounding.layerwise import Check, Grid, Layerwise

BLOCK = 128


@dataclass(frozen=True, eq=False)
class Order:
    """In which order inputs are rounded, and how those that are left make up for the error.

    Attributes:
        inputs: Their numbers, [d].
        factor: As `inverse_factor` gives it, of the inputs in this order, [d, d].
    """

    inputs: Tensor
    factor: Tensor


def ordered(second: Tensor) -> Order:
    """Return the order of falling second moments, float64 [d, d].

    Raises:
        WorkbenchError: They cannot be inverted.
    """
    inputs = second.diagonal().argsort(descending=True)
    return Order(inputs, inverse_factor(second[inputs][:, inputs].unsqueeze(0))[0])


def compensated(weight: Tensor, of: Order, grid: Grid, keep: Tensor, check: Check = lambda: None) -> Tensor:
    """Return rounded rows, float64 [outputs, d]. Arguments as in `Layerwise.rows`."""
    order, factor = of.inputs, of.factor
    left, rounded = weight[:, order].clone(), torch.empty_like(weight)
    for start in range(0, len(order), BLOCK):
        check()
        block = slice(start, min(start + BLOCK, len(order)))
        errors = torch.empty_like(left[:, block])
        for j in range(block.start, block.stop):
            column = int(order[j])
            rounded[:, column] = grid.column(left[:, j], column) * keep[:, column]
            error = (left[:, j] - rounded[:, column]) / factor[j, j]
            left[:, j : block.stop] -= torch.outer(error, factor[j, j : block.stop])
            errors[:, j - start] = error
        left[:, block.stop :] -= errors @ factor[block, block.stop :]
    return rounded


@register
class SecondOrder(Layerwise):
    kind = "second-order"
    position = 2
    title = "Second-order (GPTQ)"

    def prepared(self, second: Tensor) -> Order:
        return ordered(second)

    def rows(self, weight: Tensor, prepared: Order, grid: Grid, keep: Tensor, check: Check) -> Tensor:
        return compensated(weight, prepared, grid, keep, check)
