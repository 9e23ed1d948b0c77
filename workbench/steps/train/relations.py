"""How the samples of a batch lie to each other: what a student can keep whose features have another size.

Park et al.: "Relational Knowledge Distillation", 2019: distances of pairs, relative to their mean, and angles of
triplets.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

ANGLES = 2.0  # how much angles count where distances count once, as in the paper


def relation_gap(features: Tensor, wanted: Tensor) -> Tensor:
    """Return how much distances and angles between samples differ, 0 for fewer than three samples.

    Args:
        features: Outputs of a module, [n, ...].
        wanted: The teacher's for the same samples, [n, ...] of any other shape.
    """
    if len(features) < 3:
        return features.float().sum() * 0.0
    mine, theirs = (_relations(x.float().flatten(1)) for x in (features, wanted))
    distances, angles = (F.smooth_l1_loss(one, other) for one, other in zip(mine, theirs, strict=True))
    return distances + ANGLES * angles


def _relations(points: Tensor) -> tuple[Tensor, Tensor]:
    """Return distances of all pairs over their mean, [n, n], and cosines of the angles i-j-k at j, [n, n, n].

    Both come from products of pairs, so that memory does not grow with the size of features.
    """
    points = points - points.mean(0)
    products = points @ points.T
    squares = products.diagonal()
    apart = (squares[:, None] + squares - 2 * products).clamp(min=0)
    # A square root has no slope at zero; a sample is at no distance from itself.
    same = torch.eye(len(points), dtype=torch.bool, device=points.device)
    lengths = torch.where(same, 0.0, apart.masked_fill(same, 1.0).clamp(min=1e-12).sqrt())
    mean = lengths.sum() / (len(points) * (len(points) - 1))
    at = products[:, None, :] - products[:, :, None] - products[None] + squares[None, :, None]
    both = lengths[:, :, None] * lengths[None]
    # There is no angle at a sample between itself and another.
    cosines = torch.where(both > 0, at / both.masked_fill(both == 0, 1.0), 0.0)
    return lengths / mean.clamp(min=1e-12), cosines
