"""Scores that were computed before: a slider that moves asks for the same ones at every stop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary, ref

from torch import Tensor, nn

from workbench.graph import Group
from workbench.steps.context import Context
from workbench.steps.prune.importance.criterion import Criterion, WeightCriterion

MOST = 4

Scores = dict[str, Tensor]
_KEPT: WeakKeyDictionary[nn.Module, dict[Any, Scores]] = WeakKeyDictionary()


def rank_weights(criterion: WeightCriterion, model: nn.Module, parameters: Sequence[str], context: Context) -> Scores:
    """Return `criterion.weights(...)`, which for a built model are computed once. Nobody may edit the scores."""
    return _kept(criterion, model, tuple(parameters), context, lambda: criterion.weights(model, parameters, context))


def rank_units(criterion: Criterion, model: nn.Module, groups: Sequence[Group], context: Context) -> Scores:
    """Return `criterion.units(...)`, which for a built model are computed once. Nobody may edit the scores."""
    return _kept(criterion, model, tuple(groups), context, lambda: criterion.units(model, groups, context))


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
