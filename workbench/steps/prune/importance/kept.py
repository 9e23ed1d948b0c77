"""Scores that were computed before: a slider that moves asks for the same ones at every stop."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary, ref

from torch import Tensor, nn

from workbench.graph import Group
from workbench.steps.context import Context
from workbench.steps.prune.importance.criterion import Criterion, WeightCriterion

MOST = 4

Scores = dict[str, Tensor]
_KEPT: WeakKeyDictionary[nn.Module, dict[Any, Scores]] = WeakKeyDictionary()


def rank_weights(
    criterion: WeightCriterion, model: nn.Module, parameters: Sequence[str], context: Context
) -> Mapping[str, Tensor]:
    """Return `criterion.weights(...)`, which for a built model are computed once. Nobody may edit the scores.

    Those of a criterion that looks at no data are computed whenever they are asked for, one parameter at a time: that
    is cheap, and scores of all weights at once take as much memory as the model.
    """
    if not criterion.needs_data:
        return _Computed(criterion, model, parameters, context)
    return _kept(criterion, model, tuple(parameters), context, lambda: criterion.weights(model, parameters, context))


def rank_units(criterion: Criterion, model: nn.Module, groups: Sequence[Group], context: Context) -> Scores:
    """Return `criterion.units(...)`, which for a built model are computed once. Nobody may edit the scores."""
    return _kept(criterion, model, tuple(groups), context, lambda: criterion.units(model, groups, context))


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


def _kept(
    criterion: Criterion, model: nn.Module, what: tuple[object, ...], context: Context, compute: Callable[[], Scores]
) -> Scores:
    if not criterion.needs_data:
        return compute()
    # A task is known by a weak reference, which equals no other's even after it is gone.
    key = (criterion.kind, context.seed, ref(context.subject.task), what)
    kept = _KEPT.setdefault(model, {})
    found = kept.get(key)
    if found is None:
        found = compute()
        for old in list(kept)[: max(len(kept) + 1 - MOST, 0)]:
            kept.pop(old, None)
        kept[key] = found
    return found
