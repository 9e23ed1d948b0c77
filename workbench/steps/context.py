"""What surrounds a computation on a subject's models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.fx import GraphModule

from workbench.graph import Branch, Group, branches, channel_groups, head_groups
from workbench.graph.modules import ModuleGraph, module_graph
from workbench.jobs.progress import Progress
from workbench.model.layers import Layer, layers
from workbench.model.subject import Subject

T = TypeVar("T")
# Facts of a model for inputs of some shapes, by what finds them, for as long as the model lives.
_FACTS: WeakKeyDictionary[nn.Module, dict[Any, Any]] = WeakKeyDictionary()


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
        return self._once(layers, model)

    def same_layers(self, before: nn.Module, after: nn.Module) -> None:
        """Say that two models differ in values alone, so that the layers of one, if known, are those of the other."""
        known = _FACTS.get(before, {})
        _FACTS.setdefault(after, {}).update({key: fact for key, fact in known.items() if key[0] is layers})

    def groups(self, model: nn.Module) -> tuple[Group, ...]:
        """Return the coupled channel groups of a built model, as they are in `channels`."""
        return self.channels(model)[1]

    def channels(self, model: nn.Module) -> tuple[nn.Module, tuple[Group, ...]]:
        """Return what a built model is as one that can lose channels, and its coupled groups; traced once for each."""
        cuttable, groups = self._once(_channels, model)
        return cuttable or model, groups

    def heads(self, model: nn.Module) -> tuple[nn.Module, tuple[Group, ...]]:
        """Return what a built model is as one that can lose attention heads, and its heads; traced once for each."""
        headed, groups = self._once(_heads, model)
        return headed or model, groups

    def modules(self, model: nn.Module) -> ModuleGraph:
        """Return a built model as a graph of its layers; traced once for each."""
        return self._once(_modules, model)

    def branches(self, model: nn.Module) -> tuple[GraphModule, tuple[Branch, ...]]:
        """Return what a built model is as a graph, and its residual branches; traced once for each."""
        return self._once(branches, model)

    def _once(self, find: Callable[[nn.Module, tuple[Tensor, ...]], T], model: nn.Module) -> T:
        example = self.example()
        known = _FACTS.setdefault(model, {})
        key = find, tuple((value.shape, value.dtype) for value in example)
        if key not in known:
            known[key] = find(model, example)
        fact: T = known[key]
        return fact


def _channels(model: nn.Module, example: tuple[Tensor, ...]) -> tuple[nn.Module | None, tuple[Group, ...]]:
    """Return as `channel_groups`, with None for the model itself: what is kept of a model must not keep it alive."""
    cuttable, groups = channel_groups(model, example)
    return None if cuttable is model else cuttable, groups


def _modules(model: nn.Module, example: tuple[Tensor, ...]) -> ModuleGraph:
    return module_graph(model, example, layers(model, example))


def _heads(model: nn.Module, example: tuple[Tensor, ...]) -> tuple[nn.Module | None, tuple[Group, ...]]:
    """Return as `head_groups`, with None for the model itself: what is kept of a model must not keep it alive."""
    headed, groups = head_groups(model, example)
    return None if headed is model else headed, groups
