"""Samples from whatever people have: arrays, a dataset, a loader, or a function that gives one of these."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    default_collate,
)

from workbench.errors import WorkbenchError
from workbench.task.samples import ArraySamples, Samples


def samples(
    data: Any, mean: Sequence[float] | None = None, std: Sequence[float] | None = None, target: str = ""
) -> Samples:
    """Return `Samples` from arrays, a dataset, a loader, or a function that gives one of these.

    Raises:
        WorkbenchError: The data is empty, cannot be indexed, or is of no known kind.
    """
    if isinstance(data, Samples):
        return data
    if isinstance(data, DataLoader):
        return _loaded(data, target)
    if isinstance(data, tuple | list) and len(data) == 2 and not isinstance(data[0], Dataset):
        return ArraySamples(data[0], data[1], mean, std)
    _refuse_iterable(data)
    if isinstance(data, Dataset) or (hasattr(data, "__getitem__") and hasattr(data, "__len__")):
        return Samples(data, target=target)
    raise WorkbenchError(
        f"data of type {type(data).__name__} is not understood; give (inputs, targets) arrays, a dataset or a loader"
    )


def _refuse_iterable(data: Any) -> None:
    if isinstance(data, IterableDataset) or (isinstance(data, Dataset) and not hasattr(data, "__len__")):
        raise WorkbenchError("an iterable dataset has no order to sample from; give a map-style dataset or arrays")


def _loaded(loader: DataLoader[Any], target: str) -> Samples:
    """Return the samples that a loader would give, put together as it does.

    Raises:
        WorkbenchError: Its sampler draws otherwise each time, or repeats samples, so that no split can be told.
    """
    _refuse_iterable(loader.dataset)
    collate = None if loader.collate_fn is default_collate else loader.collate_fn
    if loader.batch_sampler is None or type(loader.batch_sampler) is not BatchSampler:
        raise WorkbenchError(
            "the loader makes its batches by a sampler of its own, and samples cannot be told apart; give the dataset"
        )
    sampler, dataset = loader.sampler, loader.dataset
    shuffled = isinstance(sampler, RandomSampler) and not sampler.replacement
    whole = shuffled and len(sampler) == len(dataset)  # type: ignore[arg-type]  # a map-style dataset has a length
    if whole or type(sampler) is SequentialSampler:
        return Samples(dataset, collate, target)  # whoever trains shuffles anyway
    if type(sampler) is SubsetRandomSampler:
        chosen = sorted(int(number) for number in sampler.indices)
    else:
        chosen, again = ([int(number) for number in sampler] for _ in range(2))
        if sorted(chosen) != sorted(again) or len(set(chosen)) != len(chosen):
            raise WorkbenchError(
                f"the loader's {type(sampler).__name__} draws other samples each time, or some of them twice; give the "
                "dataset, or a loader with a fixed subset"
            )
    return Samples(Subset(dataset, chosen), collate, target)
