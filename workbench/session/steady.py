"""Whether data stays as it is: a score on data that is drawn anew each time can be neither compared nor replayed."""

from __future__ import annotations

from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.task.batch import Tree, leaves
from workbench.task.identity import code_digest, tensor_bytes
from workbench.task.samples import ArraySamples, Samples

TRIED = 16  # samples that are read twice; of a change by chance that half of them get, nearly none escapes


def check_steady(data: Samples, split: str) -> None:
    """Raise an error if samples of a split are not the same when they are read twice.

    Args:
        data: The split.
        split: Its name, for people.

    Raises:
        WorkbenchError: One is not; it says which.
    """
    if isinstance(data, ArraySamples):  # plain values, which stay as they are
        return
    for place in range(min(TRIED, len(data))):
        number = place * len(data) // min(TRIED, len(data))
        one, other = (_digest(*data.batch([number])) for _ in range(2))
        if one != other:
            raise WorkbenchError(
                f"{split} sample {number} is not the same when read twice, so no score could be compared with "
                "another; let the dataset augment train data only, or draw by the sample's number"
            )


def _digest(inputs: tuple[Tensor, ...], targets: Tree) -> list[str | bytes]:
    """Return what differs where a sample differs; targets may be boxes with labels, or values of any kind."""
    own = [tensor_bytes(value) for value in (*inputs, *leaves(targets))]
    return [*own, code_digest(targets)] if isinstance(targets, list) else [*own]
