"""What the weights that stay do to make up for those that go: least squares on the inputs of one layer.

Hassibi, Stork: "Second order derivatives for network pruning: Optimal Brain Surgeon", 1993. For a whole mask at once,
the optimum is that of least squares over what stays, row by row; column by column is cheaper and nearly as good:
Frantar, Alistarh: "Optimal Brain Compression", 2022, and "SparseGPT: Massive Language Models Can Be Accurately Pruned
in One-Shot", 2023.
"""

from __future__ import annotations

import torch
from torch import Tensor

BLOCK = 128
SOLVED_NUMBERS = 1 << 24  # that the systems solved at a time may have: 128 MB


def least_squares(weight: Tensor, keep: Tensor, second: Tensor) -> Tensor:
    """Return the weights that change the outputs least, in the mean square, among those that are zero where not kept.

    Exact, and of a cost of out * d^3.

    Args:
        weight: [out, ...], d = weight[0].numel().
        keep: Of its shape, false where the result is zero.
        second: Second moments of the inputs that can be inverted, float64 [groups, d, d].
    """
    rows, stays = _grouped(weight, second), _grouped(keep, second).double()
    solved = []
    for group, matrix in enumerate(second):
        share = max(SOLVED_NUMBERS // matrix.numel(), 1)
        for row, stay in zip(torch.split(rows[group], share), torch.split(stays[group], share), strict=True):
            # Rows and columns of what goes become those of the identity, which gives them the solution zero.
            system = matrix * stay[:, :, None] * stay[:, None, :] + torch.diag_embed(1 - stay)
            wanted = (row @ matrix) * stay
            solved.append(torch.linalg.solve(system, wanted[:, :, None])[:, :, 0] * stay)
    return torch.cat(solved).view(weight.shape).to(weight.dtype)


def column_update(weight: Tensor, keep: Tensor, factor: Tensor) -> Tensor:
    """Return weights that are zero where not kept, each loss made up for by the columns behind it.

    Columns go one by one, in blocks of 128; those behind a block change once for all of it.

    Args:
        weight: [out, ...], d = weight[0].numel().
        keep: Of its shape, false where the result is zero.
        factor: Upper triangular U with U^T U the inverse second moments, float64 [groups, d, d].
    """
    rows, stays = _grouped(weight, factor).clone(), _grouped(keep, factor)
    for start in range(0, rows.shape[2], BLOCK):
        end = min(start + BLOCK, rows.shape[2])
        errors = torch.zeros_like(rows[:, :, start:end])
        for j in range(start, end):
            gone = rows[:, :, j].masked_fill(stays[:, :, j], 0.0) / factor[:, j, j, None]
            errors[:, :, j - start] = gone
            rows[:, :, j:end] -= gone[:, :, None] * factor[:, None, j, j:end]
        rows[:, :, end:] -= errors @ factor[:, start:end, end:]
    # The update makes what goes zero but for rounding.
    return (rows * stays).view(weight.shape).to(weight.dtype)


def _grouped(weight: Tensor, second: Tensor) -> Tensor:
    """Return a weight as [groups, out / groups, d]; numbers in double precision."""
    rows = weight.detach().reshape(len(second), -1, second.shape[1])
    return rows if rows.dtype == torch.bool else rows.double()
