"""What a sample, or a batch of them, may look like as a dataset gives it: a pair, more, a dict, or a `Batch`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_map

from workbench.errors import WorkbenchError
from workbench.task.batch import Batch, Tree, leaves, tensors

TARGETS = ("labels", "label", "targets", "target", "y")


def parts(collated: Any, target: str) -> Batch:
    """Return the parts of a batch as a dataset or its collate function made it."""
    if isinstance(collated, Batch):
        return collated
    if isinstance(collated, Mapping):
        keys = [key for key in ([target] if target else TARGETS) if key in collated]
        if not keys:
            have = ", ".join(str(key) for key in collated)
            raise WorkbenchError(
                f"a sample is a dict of {have}, and nothing says which is the target; give target='...' to wb.Task"
            )
        rest = {str(key): value for key, value in collated.items() if key != keys[0]}
        return Batch((), rest, numbered(collated[keys[0]]))
    if not isinstance(collated, tuple | list) or len(collated) < 2:
        return Batch((collated,) if not isinstance(collated, tuple | list) else tuple(collated), {}, None)
    *inputs, targets = collated
    if len(inputs) == 1 and isinstance(inputs[0], Mapping):
        return Batch((), dict(inputs[0]), numbered(targets))
    args = [value for one in inputs for value in (one if isinstance(one, tuple | list) else (one,))]
    return Batch(tuple(args), {}, numbered(targets))


def numbered(targets: Any) -> Tree:
    """Return targets as a dataset gave them, a column of labels as labels; a tuple of words is a list of them."""
    if (
        isinstance(targets, tuple)
        and targets
        and not any(isinstance(value, Tensor | tuple | dict) for value in targets)
    ):
        return list(targets)
    return tree_map(labels, targets) if not isinstance(targets, list) else targets


def labels(targets: Any) -> Any:
    if not isinstance(targets, Tensor) or targets.is_floating_point():
        return targets
    # A column of labels is labels; left as it is, it would be compared with every sample.
    column = targets.ndim == 2 and targets.shape[1] == 1
    return (targets.squeeze(1) if column else targets).long()


def targets_of(targets: Any) -> Tree:
    """Return targets as tensors, where they are numbers; a list of anything else as it is."""
    if isinstance(targets, list) and targets and not isinstance(targets[0], int | float | list | np.number):
        return targets
    if isinstance(targets, np.ndarray) and targets.dtype.kind not in "biufc":
        return targets.tolist()
    return tree_map(labels, tensors(targets))


def is_countable(targets: Tree) -> bool:
    return isinstance(targets, list) or (
        bool(leaves(targets)) and len(leaves(targets)) == len(tree_flatten(targets)[0])
    )
