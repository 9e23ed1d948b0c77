"""What surrounds a computation on a subject's models."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.fx import GraphModule

from workbench.graph import Branch, Group, branches, coupled_groups, head_groups
from workbench.layers import Layer, layers
from workbench.progress import Progress
from workbench.subject import Subject

_LAYERS: WeakKeyDictionary[nn.Module, tuple[Layer, ...]] = WeakKeyDictionary()
_GROUPS: WeakKeyDictionary[nn.Module, tuple[Group, ...]] = WeakKeyDictionary()
_BRANCHES: WeakKeyDictionary[nn.Module, tuple[GraphModule, tuple[Branch, ...]]] = WeakKeyDictionary()
_HEADS: WeakKeyDictionary[nn.Module, tuple[nn.Module, tuple[Group, ...]]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Context:
    """What surrounds a step or a criterion: the untouched subject, the seed, and the one to report to.

    `folder` is where long work keeps its place, None for nowhere.
    """

    subject: Subject
    seed: int = 0
    progress: Progress = field(default_factory=Progress)
    folder: Path | None = None

    def generator(self) -> torch.Generator:
        """Return a fresh random generator; the same one for the same seed."""
        return torch.Generator().manual_seed(self.seed)

    def within(self, low: float, high: float, title: str = "") -> Context:
        """Return the same with a progress whose 0 to 1 is `low` to `high` of this one's."""
        return replace(self, progress=self.progress.part(low, high, title))

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

    def heads(self, model: nn.Module) -> tuple[nn.Module, tuple[Group, ...]]:
        """Return what a built model is as one that can lose attention heads, and its heads; traced once for each."""
        if model not in _HEADS:
            _HEADS[model] = head_groups(model, self.example())
        return _HEADS[model]

    def branches(self, model: nn.Module) -> tuple[GraphModule, tuple[Branch, ...]]:
        """Return what a built model is as a graph, and its residual branches; traced once for each."""
        if model not in _BRANCHES:
            _BRANCHES[model] = branches(model, self.example())
        return _BRANCHES[model]
