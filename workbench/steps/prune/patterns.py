"""Which weights become zero: single ones, or in patterns that kernels and codecs can use.

N:M along the inputs: Mishra et al.: "Accelerating Sparse Deep Neural Networks", 2021, and Zhou et al.: "Learning N:M
Fine-grained Structured Sparse Neural Networks From Scratch", 2021. Blocks: Gray, Radford, Kingma: "GPU Kernels for
Block-Sparse Weights", 2017. Kernels: Mao et al.: "Exploring the Regularity of Sparse Structure in Convolutional Neural
Networks", 2017. Of single weights, those of each output by themselves: Sun et al.: "Wanda", 2024.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from workbench.task.device import CPU

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
    return dict(each_mask(scores, outputs, amount, ranking, pattern, size))


def each_mask(
    scores: Mapping[str, Tensor],
    outputs: Mapping[str, int],
    amount: float,
    ranking: str = "local",
    pattern: str = "unstructured",
    size: int = 4,
) -> Iterator[tuple[str, Tensor]]:
    """Yield names and masks as `pattern_masks` gives them, one after the other.

    Scores are looked up as they are needed, in a global ranking three times: a mapping that computes them anew takes
    the memory of one weight where a dict takes that of all.
    """

    def units(name: str) -> Tensor:
        return _units(scores[name].movedim(outputs[name], 0), pattern, size)

    together = ranking == "global" and pattern != "n:m"
    border = Border(lambda: map(units, scores), amount) if together else None
    for name in scores:
        if pattern == "n:m":
            yield name, group_mask(scores[name], 1 - outputs[name], size, amount)
            continue
        own = units(name)
        keep = row_mask(own, amount) if ranking == "output" else (border or Border.of(own, amount)).keep(own)
        turned = scores[name].movedim(outputs[name], 0).shape
        yield name, _spread(keep, turned, pattern, size).movedim(0, outputs[name])


def keep_masks(scores: Mapping[str, Tensor], amount: float, together: bool) -> dict[str, Tensor]:
    """Return for every tensor of scores a mask of its shape, true where the weight stays.

    Exactly `floor(amount * n)` weights go: of each tensor, or of all of them ranked `together`. Of equal
    scores the first ones go.
    """
    border = Border(scores.values, amount) if together else None
    return {name: (border or Border.of(score, amount)).keep(score) for name, score in scores.items()}


class Border:
    """What parts the `floor(amount * n)` least scores from the others, among n in several tensors.

    The border is found digit by digit, by counting (Knuth: "The Art of Computer Programming", vol. 3, 5.2.5), so
    that scores need not lie in one place: half of a number's bits in each of two passes.

    Args:
        scores: Gives the tensors, the same each time it is called.
        amount: Part that goes, 0 to 1.
    """

    def __init__(self, scores: Callable[[], Iterable[Tensor]], amount: float) -> None:
        high = _counts(scores(), None)
        self._left = int(amount * int(high.sum()))  # scores at the border that still have to go, in order
        self._value = -math.inf
        if self._left:
            upper = int(torch.searchsorted(high.cumsum(0), self._left))
            self._left -= int(high[:upper].sum())
            low = _counts(scores(), upper)
            lower = int(torch.searchsorted(low.cumsum(0), self._left))
            self._left -= int(low[:lower].sum())
            self._value = _number(upper, lower)

    @classmethod
    def of(cls, scores: Tensor, amount: float) -> Border:
        """Return the border within one tensor."""
        return cls(lambda: (scores,), amount)

    def keep(self, scores: Tensor) -> Tensor:
        """Return a mask of the next tensor's shape, true where a score stays."""
        flat = scores.flatten().float()
        keep = flat >= self._value
        if self._left:
            equal = (flat == self._value).nonzero().flatten()[: self._left]
            keep[equal] = False
            self._left -= len(equal)
        return keep.view_as(scores)


HALF = 1 << 16
PIECE = 1 << 17  # scores that are counted together: what is computed of them takes ten times their memory


def _keys(scores: Tensor) -> Tensor:
    """Return whole numbers from 0 on, int64, in the order of the scores."""
    bits = (scores.float() + 0.0).view(torch.int32).long()  # adding makes -0.0 the 0.0 that it equals
    return torch.where(bits < 0, -1 - (bits & 0x7FFFFFFF), bits) + (1 << 31)


def _number(upper: int, lower: int) -> float:
    """Return the score of a key, given in two halves."""
    bits = upper * HALF + lower - (1 << 31)
    signed = bits if bits >= 0 else (-1 - bits) - (1 << 31)
    return float(torch.tensor(signed, dtype=torch.int32).view(torch.float32))


def _counts(tensors: Iterable[Tensor], upper: int | None) -> Tensor:
    """Return how many keys begin with each upper half; or, among those that begin with `upper`, have each lower."""
    counts = torch.zeros(HALF, dtype=torch.int64)
    for scores in tensors:
        for piece in torch.split(scores.flatten(), PIECE):
            keys = _keys(piece)
            digits = keys // HALF if upper is None else keys[keys // HALF == upper] % HALF
            counts += torch.bincount(digits, minlength=HALF).to(CPU)
    return counts


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
