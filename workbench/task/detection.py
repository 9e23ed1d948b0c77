"""Judging and training detectors: boxes with classes, of which nobody says in which order they come.

Outputs are {"boxes": [n, P, 4], "scores": [n, P, C + 1]}, boxes as left, top, right, bottom and logits of which the
last one is for nothing. Targets are {"boxes": [n, M, 4], "labels": [n, M]}, with -1 where there are fewer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

OVERLAP = 0.5
SUPPRESSED = 0.45
LEAST_SCORE = 0.02
MOST_BOXES = 100


def overlaps(one: Tensor, other: Tensor) -> Tensor:
    """Return intersections over unions of boxes [a, 4] and [b, 4], [a, b]."""
    # Sides and not corners: a product along a dimension of two takes ten times as long.
    shared: Tensor | float = 1.0
    for start, end in ((0, 2), (1, 3)):
        low = torch.maximum(one[:, None, start], other[None, :, start])
        shared = shared * (torch.minimum(one[:, None, end], other[None, :, end]) - low).clamp(min=0)
    areas = [_areas(boxes) for boxes in (one, other)]
    return shared / (areas[0][:, None] + areas[1][None] - shared).clamp(min=1e-9)


def _areas(boxes: Tensor) -> Tensor:
    return (boxes[:, 2] - boxes[:, 0]).clamp(min=0) * (boxes[:, 3] - boxes[:, 1]).clamp(min=0)


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
    mine, chosen = boxes[places], list[int]()
    # Row by row in numpy, whose calls take a tenth of the time of torch's.
    same = ((overlaps(mine, mine) > SUPPRESSED) & (labels[:, None] == labels[None])).numpy()
    gone = np.zeros(len(order), dtype=np.bool_)
    for row in range(len(order)):
        if not gone[row] and len(chosen) < MOST_BOXES:
            chosen.append(row)
            gone |= same[row]
    return mine[chosen], labels[chosen], flat[order][chosen]


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


class Found(NamedTuple):
    """What one image adds to the average precisions.

    Attributes:
        right: For each class whether its detections, the surest first, are objects, bool [k].
        sure: For each class how sure they are, [k].
        there: Objects of each class, int64 [C].
    """

    right: dict[int, Tensor]
    sure: dict[int, Tensor]
    there: Tensor


def found_objects(outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> list[Found]:
    """Return what each image adds; it takes long, and does not depend on the other images."""
    classes, images = outputs["scores"].shape[-1] - 1, []
    for boxes, scores, true, labels in zip(
        outputs["boxes"].float(), outputs["scores"].float(), targets["boxes"], targets["labels"], strict=True
    ):
        mine, said, chance = detected(boxes, scores)
        true, labels = true[labels >= 0], labels[labels >= 0]
        right, sure = {}, {}
        for label in sorted(set(said.tolist()) | set(labels.tolist())):
            chosen = said == label
            right[label], sure[label] = _matched(mine[chosen], true[labels == label]), chance[chosen]
        images.append(Found(right, sure, torch.bincount(labels, minlength=classes)))
    return images


def mean_precision(images: Sequence[Found]) -> Tensor:
    """Return the mean of the average precisions of classes of which there are objects."""
    there = torch.stack([image.there for image in images]).sum(0)
    parts = []
    for label in there.nonzero().flatten().tolist():
        seen = [image for image in images if label in image.right]
        right, sure = (torch.cat([getattr(image, part)[label] for image in seen]) for part in ("right", "sure"))
        parts.append(average_precision(right, sure, int(there[label])))
    return torch.tensor(parts, dtype=torch.float64).mean()


def mean_average_precision(outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> Tensor:
    """Return the mean over classes of the average precision at an overlap of 0.5."""
    return mean_precision(found_objects(outputs, targets))


def _matched(boxes: Tensor, true: Tensor) -> Tensor:
    """Return which of one class' boxes, the surest first, are the first on an object."""
    right = np.zeros(len(boxes), dtype=np.bool_)
    if len(true) and len(boxes):
        free, shares = np.ones(len(true), dtype=np.bool_), overlaps(boxes, true).numpy()
        for row, best in enumerate(shares.argmax(1)):
            if shares[row, best] >= OVERLAP and free[best]:
                right[row], free[best] = True, False
    return torch.from_numpy(right)


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
