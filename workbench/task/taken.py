"""Metrics of torchmetrics, taken as they are; what their states are made of decides how they are scored.

Where every state is a tensor that is summed, a sample's states are its sums, and those of a split are added. Where a
state is a list, or is put together otherwise, all samples are judged at once.
"""

from __future__ import annotations

import copy
import importlib
import warnings
from typing import Any, Literal

import torch
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.task.batch import Tree, count, take
from workbench.task.metric import Metric


def is_torchmetrics(value: Any) -> bool:
    """Return whether an object is a metric of torchmetrics, without importing it."""
    return any(base.__module__.startswith("torchmetrics") for base in type(value).__mro__) and hasattr(value, "update")


def taken(metric: Any, higher_is_better: bool | None = None) -> Metric:
    """Return the metric of a torchmetrics object, which stays as it is.

    Raises:
        WorkbenchError: Neither it nor the caller says whether higher is better.
    """
    direction = metric.higher_is_better if higher_is_better is None else higher_is_better
    name = type(metric).__name__
    if direction is None:
        raise WorkbenchError(f"{name} does not say whether higher is better; give higher_is_better=... to wb.Task")
    low, high = getattr(metric, "plot_lower_bound", None), getattr(metric, "plot_upper_bound", None)
    bounds = None if low is None or high is None else (float(low), float(high))
    unit: Literal["%", ""] = "%" if bounds == (0.0, 1.0) else ""
    own = copy.deepcopy(metric).cpu()
    own.reset()
    summed = bool(own._defaults) and all(
        isinstance(value, Tensor) and own._reductions[key] is _summing() for key, value in own._defaults.items()
    )
    if not summed:
        return Metric(name, lambda o, t: _together(own, o, t), unit, bool(direction), bounds, decomposes=False)
    return Metric(
        name, lambda o, t: _apart(own, o, t), unit, bool(direction), bounds, combine=lambda sums: _combined(own, sums)
    )


def _summing() -> Any:
    """Return the function by which torchmetrics adds states."""
    return importlib.import_module("torchmetrics.utilities").dim_zero_sum  # there, since one of its metrics is


def _update(own: Any, outputs: Tree, targets: Tree) -> None:
    own.reset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # remarks on how many samples there are
        own.update(outputs, targets)


def _together(own: Any, outputs: Tree, targets: Tree) -> Tensor:
    own = copy.deepcopy(own)
    _update(own, outputs, targets)
    score = own.compute()
    if isinstance(score, dict):  # as of mean average precision, whose first entry is the one that is meant
        score = next(iter(score.values()))
    return torch.as_tensor(score).double().mean()


def _apart(own: Any, outputs: Tree, targets: Tree) -> Tensor:
    """Return each sample's states one after the other, [n, K]."""
    own, rows = copy.deepcopy(own), []
    for place in range(count(targets)):
        one = torch.tensor([place])
        _update(own, take(outputs, one), take(targets, one))
        rows.append(torch.cat([getattr(own, key).double().reshape(-1) for key in own._defaults]))
    return torch.stack(rows)


def _combined(own: Any, sums: Tensor) -> Tensor:
    """Return what states [..., K] make."""
    if sums.ndim > 1:
        return torch.stack([_combined(own, one) for one in sums])
    own, start = copy.deepcopy(own), 0
    own.reset()
    own._update_count = 1  # or it warns that nothing was seen
    for key, default in own._defaults.items():
        part = sums[start : start + default.numel()].reshape(default.shape)
        setattr(own, key, part)
        start += default.numel()
    return torch.as_tensor(own.compute()).double().mean()
