"""Scores that were computed before: a slider that moves asks for the same ones at every stop."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary, ref

from torch import Tensor, nn

from workbench.graph import Group
from workbench.steps.context import Context
from workbench.steps.prune.importance.criterion import Criterion, WeightCriterion
from workbench.task.device import CPU

# Of a model's scores beside the latest: those of channels are small and all stay, those of single weights are not.
MOST_BYTES = 64 * 2**20

Scores = dict[str, Tensor]
_CACHE: WeakKeyDictionary[nn.Module, dict[Any, Scores]] = WeakKeyDictionary()


def rank_weights(
    criterion: WeightCriterion, model: nn.Module, parameters: Sequence[str], context: Context
) -> Mapping[str, Tensor]:
    """Return `criterion.weights(...)`, which for a built model are computed once. Nobody may edit the scores.

    Those of a criterion that looks at no data are computed whenever they are asked for, one parameter at a time: that
    is cheap, and scores of all weights at once take as much memory as the model.
    """
    if not criterion.needs_data:
        return _Computed(criterion, model, parameters, context)
    return _cached(criterion, model, tuple(parameters), context, lambda: criterion.weights(model, parameters, context))


def rank_units(criterion: Criterion, model: nn.Module, groups: Sequence[Group], context: Context) -> Scores:
    """Return `criterion.units(...)`, on the CPU, computed once for a built model. Nobody may edit the scores."""

    def compute() -> Scores:
        return {name: score.to(CPU) for name, score in criterion.units(model, groups, context).items()}

    return _cached(criterion, model, tuple(groups), context, compute)


class _Computed(Mapping[str, Tensor]):
    def __init__(
        self, criterion: WeightCriterion, model: nn.Module, parameters: Sequence[str], context: Context
    ) -> None:
        self._criterion, self._model, self._names, self._context = criterion, model, tuple(parameters), context

    def __getitem__(self, name: str) -> Tensor:
        return self._criterion.weights(self._model, [name], self._context)[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _cached(
    criterion: Criterion, model: nn.Module, what: tuple[object, ...], context: Context, compute: Callable[[], Scores]
) -> Scores:
    if not criterion.needs_data:
        return compute()
    # A task is known by a weak reference, which equals no other's even after it is gone.
    key = (criterion.kind, context.seed, ref(context.subject.task), what)
    cache = _CACHE.setdefault(model, {})
    known = cache.get(key)
    if known is None:
        known = compute()
        room = MOST_BYTES - _bytes(known)
        for old in reversed(list(cache)):
            room -= _bytes(cache.get(old, {}))
            if room < 0:
                cache.pop(old, None)
        cache[key] = known
    return known


def _bytes(scores: Scores) -> int:
    return sum(value.numel() * value.element_size() for value in scores.values())
