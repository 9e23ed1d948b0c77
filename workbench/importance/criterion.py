"""What an importance criterion is: a number for every weight, larger for what the model needs more."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from workbench.graph import Group
from workbench.subject import Subject


class Criterion(ABC):
    """Ranks weights, and through them coupled channels.

    Class attributes:
        kind: Its name in a step.
        title: What people read.
        needs_data: Whether it looks at the calibration split.
    """

    kind: ClassVar[str]
    title: ClassVar[str]
    needs_data: ClassVar[bool] = False

    @abstractmethod
    def weights(self, model: nn.Module, parameters: Sequence[str], subject: Subject) -> dict[str, Tensor]:
        """Return the importance of every element of the named parameters, each in its parameter's shape."""

    def units(self, model: nn.Module, group: Group, subject: Subject) -> Tensor:
        """Return the importance of every unit of a coupled group, `[units]`.

        It is the sum over the weights that make the unit, in all layers that produce it, as the mean for one
        weight, so that groups of different sizes can be ranked together.
        """
        produced = {f"{layer}.weight" for layer in group.layers}
        names = sorted({slot.parameter for unit in group.units for slot in unit if slot.parameter in produced})
        scores = self.weights(model, names, subject)
        totals = []
        for unit in group.units:
            parts = [
                scores[slot.parameter].index_select(slot.dim, torch.tensor(slot.indices)).flatten()
                for slot in unit
                if slot.parameter in scores
            ]
            totals.append(torch.cat(parts).double().mean())
        return torch.stack(totals)
