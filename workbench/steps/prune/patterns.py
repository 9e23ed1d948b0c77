"""Which weights become zero: single ones, or in patterns that kernels and codecs can use.

N:M along the inputs: Mishra et al.: "Accelerating Sparse Deep Neural Networks", 2021, and Zhou et al.: "Learning N:M
Fine-grained Structured Sparse Neural Networks From Scratch", 2021. Blocks: Gray, Radford, Kingma: "GPU Kernels for
Block-Sparse Weights", 2017. Kernels: Mao et al.: "Exploring the Regularity of Sparse Structure in Convolutional Neural
Networks", 2017. Of single weights, those of each output by themselves: Sun et al.: "Wanda", 2024.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

PATTERNS = ("unstructured", "n:m", "block", "kernel")
RANKINGS = ("local", "global", "output")


def pattern_masks(
    scores: Mapping[str, Tensor],
    outputs: Mapping[str, int],
    amount: float,
    ranking: str = "local",
    pattern: str = "unstructured",
    size: int = 4,
) -> dict[str, Tensor]:
    """Return for every weight a mask of its shape, true where it stays.

    Exactly `floor(amount * n)` of n units go, of each tensor, of all together or of each output, as `ranking` says; a
    unit is a weight, a block or a kernel, ranked by its mean score. For "n:m" it is `floor(amount * size)` of every
    `size` consecutive inputs, whatever the ranking. Of equal scores the first ones go.

    Args:
        scores: Importance, in the shape of each weight.
        outputs: The dimension of each weight that counts outputs, 0 or 1; inputs are the other one.
        amount: Part that goes, 0 to 1.
        ranking: One of `RANKINGS`.
        pattern: One of `PATTERNS`.
        size: Inputs of a group in "n:m"; rows (outputs) and columns (the rest) of a block.
    """
    if pattern == "n:m":
        return {name: group_mask(score, 1 - outputs[name], size, amount) for name, score in scores.items()}
    turned = {name: score.movedim(outputs[name], 0) for name, score in scores.items()}
    units = {name: _units(score, pattern, size) for name, score in turned.items()}
    if ranking == "output":
        keep = {name: row_mask(score, amount) for name, score in units.items()}
    else:
        keep = keep_masks(units, amount, ranking == "global")
    spread = {name: _spread(keep[name], score.shape, pattern, size) for name, score in turned.items()}
    return {name: mask.movedim(0, outputs[name]) for name, mask in spread.items()}


def keep_masks(scores: Mapping[str, Tensor], amount: float, together: bool) -> dict[str, Tensor]:
    """Return for every tensor of scores a mask of its shape, true where the weight stays.

    Exactly `floor(amount * n)` weights go: of each tensor, or of all of them ranked `together`. Of equal
    scores the first ones go.
    """
    if not together:
        return {name: keep_masks({name: score}, amount, together=True)[name] for name, score in scores.items()}
    flat = torch.cat([score.flatten().float() for score in scores.values()])
    keep = torch.ones(len(flat), dtype=torch.bool)
    drop = int(amount * len(flat))
    if drop:
        # Far cheaper than sorting; the exact number is restored among the scores that equal the threshold.
        threshold = flat.kthvalue(drop).values
        keep[flat < threshold] = False
        equal = (flat == threshold).nonzero().flatten()
        keep[equal[: drop - int((~keep).sum())]] = False
    parts = torch.split(keep, [score.numel() for score in scores.values()])
    return {name: part.view_as(score) for part, (name, score) in zip(parts, scores.items(), strict=True)}


def row_mask(scores: Tensor, amount: float) -> Tensor:
    """Return a mask of scores [..., n] in which `floor(amount * n)` of each row are false; of equal ones the first."""
    order = scores.argsort(dim=-1, stable=True)
    drop = int(amount * scores.shape[-1])
    return torch.ones_like(scores, dtype=torch.bool).scatter(-1, order[..., :drop], False)


def group_mask(scores: Tensor, dim: int, size: int, amount: float) -> Tensor:
    """Return a mask in which `floor(amount * size)` of every `size` consecutive scores along `dim` are false.

    What is left at the end is a smaller group of its own.
    """
    last = scores.movedim(dim, -1)
    whole = last.shape[-1] // size * size
    groups = last[..., :whole].reshape(*last.shape[:-1], -1, size)
    mask = torch.cat([row_mask(groups, amount).flatten(-2), row_mask(last[..., whole:], amount)], dim=-1)
    return mask.movedim(-1, dim)


def _units(scores: Tensor, pattern: str, size: int) -> Tensor:
    """Return the mean score of every unit of a weight [out, in, ...], with one row for each output, [rows, columns]."""
    if pattern == "kernel" and scores.ndim > 2:
        return scores.flatten(2).mean(2)
    if pattern == "block":
        # Blocks at the edges are smaller, and their mean is that of what they have.
        return F.avg_pool2d(scores.flatten(1)[None], size, ceil_mode=True, count_include_pad=False)[0]
    return scores.flatten(1)


def _spread(keep: Tensor, shape: torch.Size, pattern: str, size: int) -> Tensor:
    """Return the mask of a weight of this shape from that of its units."""
    if pattern == "kernel":
        return keep.reshape(*shape[:2], *(1,) * (len(shape) - 2)).expand(shape)
    if pattern == "block":
        wide = keep.repeat_interleave(size, 0).repeat_interleave(size, 1)
        return wide[: shape[0], : shape[1:].numel()].reshape(shape)
    return keep.reshape(shape)
