"""What a recipe has made so far, and what a step may look at while it works."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from workbench.coding import Coding
from workbench.graph import Group, coupled_groups
from workbench.layers import Layer, layers
from workbench.progress import Progress
from workbench.subject import Subject

_LAYERS: WeakKeyDictionary[nn.Module, tuple[Layer, ...]] = WeakKeyDictionary()
_GROUPS: WeakKeyDictionary[nn.Module, tuple[Group, ...]] = WeakKeyDictionary()


@dataclass(frozen=True)
class State:
    """A built model and how its tensors are to be stored. Nobody edits `model` in place once it is here.

    Attributes:
        model: The module, with the compressed values in ordinary dense tensors.
        codings: How a parameter is stored, by name; a parameter that is absent is stored as it is.
        pruned: Parameters whose zeros are a mask: training keeps them zero.
        notes: What the user has to know, such as groups that could not be cut.
    """

    model: nn.Module
    codings: Mapping[str, Coding] = field(default_factory=dict)
    pruned: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Context:
    """What surrounds a step: the untouched subject, the seed, and the one to report to."""

    subject: Subject
    seed: int = 0
    progress: Progress = field(default_factory=Progress)

    def generator(self) -> torch.Generator:
        """Return a fresh random generator; the same one for the same seed."""
        return torch.Generator().manual_seed(self.seed)

    def example(self) -> tuple[Tensor, ...]:
        """Return inputs for two samples, so that a batch dimension can be told from a size of one."""
        return self.subject.task.example(2)

    def layers(self, model: nn.Module) -> tuple[Layer, ...]:
        """Return the layers of a built model, computed once for each."""
        if model not in _LAYERS:
            _LAYERS[model] = layers(model, self.example())
        return _LAYERS[model]

    def groups(self, model: nn.Module) -> tuple[Group, ...]:
        """Return the coupled channel groups of a built model, traced once for each."""
        if model not in _GROUPS:
            _GROUPS[model] = coupled_groups(model, self.example())
        return _GROUPS[model]
