"""Targets of samples by their numbers, so that nobody reads inputs again for them."""

from __future__ import annotations

import torch
from torch import Tensor

from workbench.task.batch import Tree, join, take
from workbench.task.device import CPU, moved
from workbench.task.samples import ArraySamples, Samples


class Targets:
    """Targets of samples by their numbers, without reading their inputs again; on the CPU."""

    def __init__(self, samples: Samples) -> None:
        self._samples, self._seen = samples, dict[int, Tree]()

    def keep(self, numbers: Tensor, targets: Tree) -> None:
        """Remember the targets of these samples, where the data does not hold all of them anyway."""
        if not isinstance(self._samples, ArraySamples):
            targets = moved(targets, CPU)
            for place, number in enumerate(numbers.tolist()):
                self._seen[number] = take(targets, torch.tensor([place]))

    def of(self, numbers: Tensor) -> Tree:
        """Return the targets of these samples."""
        if isinstance(self._samples, ArraySamples):
            return take(self._samples.targets, numbers)
        wanted = numbers.tolist()
        if not all(number in self._seen for number in wanted):
            return self._samples.batch(wanted)[1]
        return join([self._seen[number] for number in wanted])
