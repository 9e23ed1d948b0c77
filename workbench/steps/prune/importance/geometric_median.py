"""Geometric median: a channel that lies amid the others can be made up for by them.

He et al.: "Filter Pruning via Geometric Median for Deep Convolutional Neural Networks Acceleration", 2019.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from workbench.graph import Group
from workbench.registry import register
from workbench.steps.context import Context
from workbench.steps.prune.importance.criterion import Criterion
from workbench.steps.prune.importance.slots import producing


def distances(filters: Tensor) -> Tensor:
    """Return the mean Euclidean distance of every filter to the others, float64 [n], for filters [n, numbers]."""
    wide = filters.double()
    # The quick way by scalar products loses small distances.
    apart = torch.cdist(wide, wide, compute_mode="donot_use_mm_for_euclid_dist")
    return apart.sum(1) / max(len(filters) - 1, 1)


@register
class GeometricMedian(Criterion):
    kind = "geometric_median"
    position = 10
    title = "Geometric median (FPGM)"

    def units(self, model: nn.Module, groups: Sequence[Group], context: Context) -> dict[str, Tensor]:
        return {group.name: distances(_filters(model, group)) for group in groups}


def _filters(model: nn.Module, group: Group) -> Tensor:
    """Return all weights that make each unit, [units, numbers]."""
    parts = []
    for place, owner in producing(model, group).items():
        rows = model.get_parameter(place.parameter).detach().movedim(place.dim, 0).flatten(1)
        # Stable, so that what a unit has several of stays in its order.
        order = owner.argsort(stable=True)[int((owner < 0).sum()) :]
        parts.append(rows[order].reshape(len(group.units), -1))
    return torch.cat(parts, 1)
