"""What is done to inputs before a model gets them: declared as plain values, and marked on the model that needs it.

A step of `steps/input/` marks its model with a feed. Whoever calls that model with a task's own inputs then calls it
with what the feed makes of them, while the uncompressed model beside it gets them as they are.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.registry import Registry
from workbench.task.batch import feeds_of

LARGEST_SIDE = 4096  # of an image that a feed makes: a file may come from anybody
MOST_FEEDS, MOST_CHANNELS = 32, 1024
Span = tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Feed(ABC):
    """A pure function of one input tensor [n, ...], with plain values that say which.

    A subclass is a frozen dataclass of whole numbers, numbers, texts or tuples of numbers. It checks them in
    `__post_init__`, since they may come from a file.

    Class attributes:
        kind: Its name in files.
    """

    kind: ClassVar[str]

    @abstractmethod
    def __call__(self, value: Tensor) -> Tensor:
        """Return what the model gets for an input [n, ...]."""

    @abstractmethod
    def words(self) -> str:
        """Return what whoever feeds the model has to do, in words."""

    def bits(self, before: int, whole: int) -> int:
        """Return the bits that a value of the result takes.

        Args:
            before: What one of the input took.
            whole: Of the result's type.
        """
        return min(before, whole)

    def span(self, low: Span, high: Span) -> tuple[Span, Span]:
        """Return the lowest and highest values of each channel of the result, by those of the input."""
        return low, high

    def facts(self) -> dict[str, Any]:
        """Return the feed as plain JSON: its kind and its values."""
        return {"kind": self.kind, **dataclasses.asdict(self)}

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> Self:
        """Return the feed of `facts` (without the kind).

        Raises:
            WorkbenchError: A value is missing, of another type or out of range.
        """
        fields = dataclasses.fields(cls)
        if facts.keys() != {field.name for field in fields}:
            raise WorkbenchError(f"what is done to inputs, {cls.kind}, has other values than it takes")
        return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in facts.items()})


FEEDS: Registry[type[Feed]] = Registry("feed", Feed)


def read_feeds(rows: Any) -> tuple[Feed, ...]:
    """Return the feeds of plain JSON, which may come from anybody.

    Raises:
        WorkbenchError: A kind is not known, or a value is not accepted.
    """
    if not isinstance(rows, list) or len(rows) > MOST_FEEDS or not all(isinstance(row, dict) for row in rows):
        raise WorkbenchError(f"what is done to inputs is a list of at most {MOST_FEEDS} objects")
    feeds = []
    for row in rows:
        kind = row.get("kind")
        if not isinstance(kind, str) or kind not in FEEDS:
            raise WorkbenchError(f"what is done to inputs is not known here; known are {', '.join(FEEDS)}")
        feeds.append(FEEDS[kind].read({name: value for name, value in row.items() if name != "kind"}))
    return tuple(feeds)


def check_whole(name: str, value: Any, low: int, high: int) -> None:
    """Raise an error if a value is no whole number from `low` to `high`."""
    if type(value) is not int or not low <= value <= high:
        raise WorkbenchError(f"what is done to inputs: {name} must be a whole number from {low} to {high}")


def check_numbers(name: str, values: Any) -> None:
    """Raise an error if values are no tuple of finite numbers, one or one for each channel."""
    sound = isinstance(values, tuple) and 0 < len(values) <= MOST_CHANNELS
    if not sound or not all(type(value) in (int, float) and abs(value) < 1e30 for value in values):
        raise WorkbenchError(f"what is done to inputs: {name} must be finite numbers, one for each channel")


def by_channel(values: Sequence[float], like: Tensor) -> Tensor:
    """Return numbers, one or one for each channel, as float32 that broadcasts with [n, C, ...]."""
    return torch.tensor(values, dtype=torch.float32, device=like.device).view(1, -1, *(1,) * (like.ndim - 2))


def input_bytes(model: Any, inputs: tuple[Tensor, ...]) -> int:
    """Return the bytes of one sample as the model gets it; values on a grid of few bits are packed.

    Args:
        model: Marked with its feeds, if there are any.
        inputs: Of the task, [n, ...] each.
    """
    total = 0
    for value in inputs:
        bits = value.element_size() * 8
        for feed in feeds_of(model):
            value = feed(value)
            bits = feed.bits(bits, value.element_size() * 8)
        count = value.numel() // len(value) if value.dim() else value.numel()
        total += -(-count * bits // 8)
    return total


def words_of(feeds: Iterable[Feed]) -> str:
    """Return in a sentence what is done to inputs, "" where nothing is."""
    return "; then ".join(feed.words() for feed in feeds)
