"""Singular values of a weight: how much of it a low rank would hold."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from workbench.inspection.weights import as_rows


@dataclass(frozen=True)
class Spectrum:
    """Singular values of a weight as a matrix [out, rest].

    Attributes:
        values: Falling, as many as the smaller side of the matrix, in the unit of the weight.
        effective_rank: exp of the entropy of the values' shares: Roy and Vetterli, "The effective rank: a
            measure of effective dimensionality", 2007. 0.0 for a weight of zeros.
        energy_rank: Fewest values that hold the part `energy` of the squared values' sum.
        energy: That part.
    """

    values: tuple[float, ...]
    effective_rank: float
    energy_rank: int
    energy: float = 0.99

    @property
    def full_rank(self) -> int:
        """The most that the rank could be."""
        return len(self.values)

    @property
    def held(self) -> tuple[float, ...]:
        """Part of the energy that the first 1, 2, 3 ... values hold, each 0 to 1."""
        squares = torch.tensor(self.values, dtype=torch.float64).square()
        return tuple((squares.cumsum(0) / squares.sum().clamp(min=torch.finfo(torch.float64).tiny)).tolist())


def singular_spectrum(weight: Tensor, outputs: int = 0, energy: float = 0.99) -> Spectrum:
    """Return the singular values of a weight.

    Args:
        weight: [out, ...], or with the output channels in dimension `outputs`.
        outputs: The dimension that counts output channels (`Layer.outputs`).
        energy: Part of the squared sum, 0 to 1, that `energy_rank` is to hold.

    Raises:
        WorkbenchError: The weight is empty or not finite, or has no such dimension.
    """
    values = torch.linalg.svdvals(as_rows(weight, outputs).double())
    total = float(values.sum())
    if not total:
        return Spectrum(tuple(values.tolist()), 0.0, 0, energy)
    shares = values[values > 0] / total
    effective = float(torch.exp(-(shares * shares.log()).sum()))
    held = values.square().cumsum(0) / values.square().sum()
    # Rounding may leave the last sum a little below a wish of 1.0.
    rank = min(int((held < energy).sum()) + 1, len(values))
    return Spectrum(tuple(values.tolist()), effective, rank, energy)
