"""How far a grid reaches: a wide one clips nothing and rounds coarsely, a narrow one clips what lies outside.

Nagel et al.: "A White Paper on Neural Network Quantization", 2021, ch. 3.1 (min-max, mean squared error);
McKinstry et al.: "Discovering Low-Precision Networks Close to Full-Precision Networks", 2019 (percentiles);
Migacz: "8-bit Inference with TensorRT", GTC 2017 (entropy).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

COARSE, FINE = 20, 9
BINS = 2048
NARROWEST = 0.02


def least_error(error: Callable[[Tensor], Tensor], count: int, device: torch.device) -> Tensor:
    """Return for each of `count` rows the part of its range, in (0, 1], that makes `error` smallest.

    Args:
        error: From parts [count] to the squared error of every row, [count].
        count: Number of rows.
        device: Where they are.
    """
    best = torch.ones(count, device=device)
    least = error(best)
    for parts in (torch.linspace(1, 1 / COARSE, COARSE)[1:], torch.linspace(-1, 1, FINE) / COARSE):
        centre = torch.zeros(count, device=device) if len(parts) == COARSE - 1 else best.clone()
        for part in parts.tolist():
            tried = (centre + part).clamp(NARROWEST, 1.0)
            errors = error(tried)
            better = errors < least
            best, least = torch.where(better, tried, best), torch.where(better, errors, least)
    return best


def clip_percentile(rows: Tensor, percentile: float, symmetric: bool) -> tuple[Tensor, Tensor]:
    """Return bounds that hold `percentile` % of each row's numbers: of their magnitudes, or at either side.

    Args:
        rows: [n, k].
        percentile: 50 to 100; 100 holds all.
        symmetric: Whether both bounds are equally far from zero.
    """
    part = percentile / 100
    if symmetric:
        high = _quantile(rows.abs(), part)
        return -high, high
    return _quantile(rows, 1 - part).clamp(max=0.0), _quantile(rows, part).clamp(min=0.0)


def _quantile(rows: Tensor, part: float) -> Tensor:
    # torch.quantile refuses rows of more than 16 million numbers.
    place = round(part * (rows.shape[1] - 1))
    return rows.kthvalue(place + 1, dim=1).values


def histogram_range(
    counts: Tensor, low: float, high: float, bits: int, how: str, percentile: float
) -> tuple[float, float]:
    """Return the range of an activation grid of 2**bits values, with 0.0 in it, from a histogram of what was seen.

    Args:
        counts: [bins], evenly spaced from `low` to `high`.
        low: Smallest value that was seen.
        high: Largest value that was seen.
        bits: Of the grid.
        how: "percentile", "mse" or "entropy".
        percentile: How many of the values the grid holds at either side, in percent.
    """
    counts = counts.double()
    edges = torch.linspace(low, high, len(counts) + 1, dtype=torch.float64)
    if how == "percentile":
        part = counts.cumsum(0) / counts.sum()
        first = int((part < 1 - percentile / 100).sum())
        last = int((part < percentile / 100).sum())
        return min(float(edges[first]), 0.0), max(float(edges[min(last + 1, len(counts))]), 0.0)
    centres = (edges[1:] + edges[:-1]) / 2
    error = _rounding_error if how == "mse" else _divergence
    parts = torch.linspace(1, NARROWEST, 99, dtype=torch.float64)
    low, high = min(low, 0.0), max(high, 0.0)
    errors = [error(counts, centres, low * part, high * part, bits) for part in parts.tolist()]
    best = float(parts[int(torch.tensor(errors).argmin())])
    return low * best, high * best


def _rounding_error(counts: Tensor, centres: Tensor, low: float, high: float, bits: int) -> float:
    scale = (high - low) / (2**bits - 1)
    rounded = (torch.round(centres.clamp(low, high) / scale) * scale) if scale else torch.zeros_like(centres)
    return float((counts * (rounded - centres).square()).sum())


def _divergence(counts: Tensor, centres: Tensor, low: float, high: float, bits: int) -> float:
    """Return the Kullback-Leibler divergence of the clipped distribution from its rounded one, in nats."""
    levels, inside = 2**bits, (centres >= low) & (centres <= high)
    bins = int(inside.sum())
    if bins < levels:
        return float("inf")
    seen = counts[inside]
    clipped = seen.clone()
    clipped[0] += counts[centres < low].sum()
    clipped[-1] += counts[centres > high].sum()
    # Every level spreads what it holds evenly over those of its bins that were seen at all.
    level = torch.arange(bins) * levels // bins
    held = torch.zeros(levels, dtype=torch.float64).index_add(0, level, seen)
    used = torch.zeros(levels, dtype=torch.float64).index_add(0, level, (seen > 0).double())
    spread = torch.where(seen > 0, held[level] / used[level].clamp(min=1), torch.zeros_like(seen))
    wanted, got = clipped / clipped.sum(), spread / spread.sum().clamp(min=1e-12)
    some = wanted > 0
    return float((wanted[some] * (wanted[some] / got[some].clamp(min=1e-9)).log()).sum())
