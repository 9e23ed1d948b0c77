"""How long work tells where it is, and how it is told to stop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from workbench.errors import Cancelled

T = TypeVar("T")
SMOOTHED = 4.0  # seconds over which an estimate of the end gives way to a newer one


class Figure(StrEnum):
    """What a training tells of itself."""

    LOSS = "loss"
    SCORE = "score"


@dataclass(frozen=True)
class Figures:
    """Figures of a training after a batch or an epoch.

    Attributes:
        at: Part of this training that is done, 0 to 1; the job around it may be longer.
        loss: Of the last batch, None if it is not told.
        score: Of the last epoch, larger for better; None if it is not told.
    """

    at: float
    loss: float | None = None
    score: float | None = None

    def named(self) -> tuple[tuple[Figure, float], ...]:
        """Return those that are told, by name."""
        values = ((Figure.LOSS, self.loss), (Figure.SCORE, self.score))
        return tuple((figure, value) for figure, value in values if value is not None)


@dataclass(frozen=True)
class Tick:
    """Where a piece of work is.

    Attributes:
        done: Part that is done, 0 to 1.
        message: What is being done.
        seconds_left: Estimated from the pace so far, None before there is one.
        figures: Of a training, for whoever draws its curve.
    """

    done: float
    message: str = ""
    seconds_left: float | None = None
    figures: Figures | None = None

    @classmethod
    def of_training(cls, done: float, message: str, *, loss: float | None = None, score: float | None = None) -> Tick:
        """Return the tick of a training of which the part `done` is over."""
        return cls(done, message, figures=Figures(done, loss, score))


class Progress:
    """Takes reports of work, and raises `Cancelled` at the next one after the work was told to stop.

    Args:
        report: Called with every tick; None for nobody.
        cancelled: Asked at every tick.
    """

    def __init__(
        self, report: Callable[[Tick], None] | None = None, cancelled: Callable[[], bool] | None = None
    ) -> None:
        self._report, self._cancelled = report, cancelled
        self._start = self._told = time.monotonic()
        self._end: float | None = None

    def check(self) -> None:
        """Raise `Cancelled` if the work was told to stop."""
        if self._cancelled is not None and self._cancelled():
            raise Cancelled("cancelled; nothing was changed")

    def update(self, done: float, message: str = "", figures: Figures | None = None) -> None:
        """Report that the part `done` (0 to 1) is done."""
        self.check()
        if self._report is not None:
            self._report(Tick(min(max(done, 0.0), 1.0), message, self._left(done), figures))

    def _left(self, done: float) -> float | None:
        """Return the seconds that are left, None before there is a pace.

        Parts of one piece of work go at paces of their own, so a new estimate of the end only pulls at the one before:
        what is shown counts down, and does not jump at each part.
        """
        now = time.monotonic()
        spent = now - self._start
        # The first moments say little of the pace.
        if done < 0.03 or spent < 2.0:
            return None
        end = self._start + spent / min(done, 1.0)
        pull = 1.0 if self._end is None else 1 - math.exp((self._told - now) / SMOOTHED)
        self._end, self._told = (self._end or end) + pull * (end - (self._end or end)), now
        return max(self._end - now, 0.0) if done < 1 else 0.0

    def part(self, low: float, high: float, title: str = "") -> Progress:
        """Return a progress whose 0 to 1 is `low` to `high` of this one."""

        def report(tick: Tick) -> None:
            message = f"{title}: {tick.message}" if title and tick.message else title or tick.message
            self.update(low + tick.done * (high - low), message, tick.figures)

        return Progress(report, self._cancelled)

    def silent(self) -> Progress:
        """Return a progress that only asks whether to stop."""
        return Progress(None, self._cancelled)

    def over(self, items: Iterable[T], total: int, message: str = "") -> Iterator[T]:
        """Yield `items`, reporting each."""
        for number, item in enumerate(items):
            self.update(number / max(total, 1), message)
            yield item
        self.update(1.0, message)
