"""Random importance: the control that a criterion has to beat."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from workbench.graph import Group
from workbench.registry import register
from workbench.steps.context import Context
from workbench.steps.prune.importance.criterion import WeightCriterion


@register
class Chance(WeightCriterion):
    kind = "random"
    position = 15
    title = "Random (control)"
    comparable = True

    def weights(self, model: nn.Module, parameters: Sequence[str], context: Context) -> dict[str, Tensor]:
        return {
            # Drawn on the CPU, so that they are the same on every device.
            name: torch.rand(value.shape, generator=_generator(context.seed, name)).to(value.device)
            for name, value in ((name, model.get_parameter(name)) for name in parameters)
        }

    def units(self, model: nn.Module, groups: Sequence[Group], context: Context) -> dict[str, Tensor]:
        return {
            group.name: torch.rand(
                len(group.units), generator=_generator(context.seed, group.name), dtype=torch.float64
            )
            for group in groups
        }


def _generator(seed: int, name: str) -> torch.Generator:
    """Return a generator of a name's own, so that its numbers are the same whatever else is ranked."""
    digest = hashlib.sha256(f"{seed} {name}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
