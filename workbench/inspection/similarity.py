"""Output channels that do nearly the same as others."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from workbench.inspection.weights import as_rows


@dataclass(frozen=True)
class Pair:
    """Two output channels and the cosine of their weights, -1 to 1."""

    first: int
    second: int
    cosine: float


def cosine_similarity(weight: Tensor, outputs: int = 0) -> Tensor:
    """Return the cosine similarity of every two output channels, float32 [C, C]; 0 where a channel is zero.

    Args:
        weight: [out, ...], or with the output channels in dimension `outputs`.
        outputs: The dimension that counts output channels (`Layer.outputs`).

    Raises:
        WorkbenchError: The weight is empty or not finite, or has no such dimension.
    """
    rows = F.normalize(as_rows(weight, outputs), dim=1)
    return (rows @ rows.T).clamp(-1.0, 1.0)


def most_similar(matrix: Tensor, count: int = 10) -> tuple[Pair, ...]:
    """Return the pairs of channels with the largest absolute cosine, the largest first.

    Args:
        matrix: [C, C], from `cosine_similarity`.
        count: At most so many pairs.
    """
    rows, columns = torch.triu_indices(len(matrix), len(matrix), offset=1)
    cosines = matrix[rows, columns]
    best = cosines.abs().argsort(descending=True, stable=True)[:count]
    return tuple(Pair(int(rows[i]), int(columns[i]), float(cosines[i])) for i in best)
