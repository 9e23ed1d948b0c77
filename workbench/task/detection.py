"""Judging and training detectors: boxes with classes, of which nobody says in which order they come.

Outputs are {"boxes": [n, P, 4], "scores": [n, P, C + 1]}, boxes as left, top, right, bottom and logits of which the
last one is for nothing. Targets are {"boxes": [n, M, 4], "labels": [n, M]}, with -1 where there are fewer.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

OVERLAP = 0.5
SUPPRESSED = 0.45
LEAST_SCORE = 0.02
MOST_BOXES = 100


def overlaps(one: Tensor, other: Tensor) -> Tensor:
    """Return intersections over unions of boxes [a, 4] and [b, 4], [a, b]."""
    low = torch.maximum(one[:, None, :2], other[None, :, :2])
    high = torch.minimum(one[:, None, 2:], other[None, :, 2:])
    shared = (high - low).clamp(min=0).prod(-1)
    areas = [(boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(-1) for boxes in (one, other)]
    return shared / (areas[0][:, None] + areas[1][None] - shared).clamp(min=1e-9)


def detected(boxes: Tensor, scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return boxes [k, 4], classes [k] and probabilities [k] of one image, the surest first, without doubles.

    Args:
        boxes: [P, 4].
        scores: Logits [P, C + 1].
    """
    chance = scores.softmax(-1)[:, :-1]
    flat = chance.flatten()
    order = flat.argsort(descending=True, stable=True)
    order = order[flat[order] > LEAST_SCORE][: 4 * MOST_BOXES]
    places, labels = order // chance.shape[1], order % chance.shape[1]
    mine, kept = boxes[places], list[int]()
    same = (overlaps(mine, mine) > SUPPRESSED) & (labels[:, None] == labels[None])
    gone = torch.zeros(len(order), dtype=torch.bool)
    for row in range(len(order)):
        if not gone[row] and len(kept) < MOST_BOXES:
            kept.append(row)
            gone |= same[row]
    return mine[kept], labels[kept], flat[order][kept]


def average_precision(right: Tensor, sure: Tensor, there: int) -> float:
    """Return the area under the curve of precision over recall, at each recall the best precision from there on.

    Everingham et al., "The PASCAL Visual Object Classes Challenge", 2010, as since its edition of that year.

    Args:
        right: Whether each detection is one, bool [k].
        sure: How sure it is, [k].
        there: How many objects there are, at least 1.
    """
    hits = right[sure.argsort(descending=True, stable=True)].double().cumsum(0)
    if not len(hits):
        return 0.0
    precision = hits / torch.arange(1, len(hits) + 1, dtype=torch.float64)
    best = precision.flip(0).cummax(0).values.flip(0)
    recall = torch.cat([hits.new_zeros(1), hits]) / there
    return float(((recall[1:] - recall[:-1]) * best).sum())


def mean_average_precision(outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> Tensor:
    """Return the mean over classes of the average precision at an overlap of 0.5."""
    classes = outputs["scores"].shape[-1] - 1
    right: list[list[Tensor]] = [[] for _ in range(classes)]
    sure: list[list[Tensor]] = [[] for _ in range(classes)]
    there = torch.zeros(classes, dtype=torch.int64)
    for boxes, scores, true, labels in zip(
        outputs["boxes"].float(), outputs["scores"].float(), targets["boxes"], targets["labels"], strict=True
    ):
        mine, said, chance = detected(boxes, scores)
        true, labels = true[labels >= 0], labels[labels >= 0]
        there += torch.bincount(labels, minlength=classes)
        for label in sorted(set(said.tolist()) | set(labels.tolist())):
            chosen = said == label
            right[label].append(_matched(mine[chosen], true[labels == label]))
            sure[label].append(chance[chosen])
    found = [
        average_precision(torch.cat(right[label]), torch.cat(sure[label]), int(there[label]))
        for label in range(classes)
        if there[label]
    ]
    return torch.tensor(found, dtype=torch.float64).mean()


def _matched(boxes: Tensor, true: Tensor) -> Tensor:
    """Return which of one class' boxes, the surest first, are the first on an object."""
    right = torch.zeros(len(boxes), dtype=torch.bool)
    if not len(true):
        return right
    free = torch.ones(len(true), dtype=torch.bool)
    for row, shares in enumerate(overlaps(boxes, true)):
        best = int(shares.argmax())
        if shares[best] >= OVERLAP and free[best]:
            right[row], free[best] = True, False
    return right


def detection_loss(outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> Tensor:
    """Return the loss of the box whose middle is nearest to each object's, and of all classes; the rest is nothing."""
    boxes, scores = outputs["boxes"], outputs["scores"]
    there = targets["labels"] >= 0
    nothing = scores.shape[-1] - 1
    middles, true = ((side[..., :2] + side[..., 2:]) / 2 for side in (boxes, targets["boxes"]))
    gap = torch.cdist(true, middles.detach())  # [n, M, P]
    nearest = gap.argmin(-1)
    wanted = torch.full(scores.shape[:-1], nothing, device=scores.device)
    samples, rows = there.nonzero(as_tuple=True)
    places = nearest[samples, rows]
    wanted[samples, places] = targets["labels"][samples, rows]
    weight = torch.ones(nothing + 1, device=scores.device, dtype=scores.dtype)
    weight[-1] = 0.5
    kinds = F.cross_entropy(scores.flatten(0, 1), wanted.flatten(), weight)
    if not len(samples):
        return kinds
    mine, right = boxes[samples, places], targets["boxes"][samples, rows].to(boxes.dtype)
    return kinds + F.smooth_l1_loss(mine / 8, right / 8)
