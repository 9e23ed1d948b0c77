"""How long work tells where it is, and how it is told to stop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from workbench.errors import Cancelled

T = TypeVar("T")
# Among the values of a tick: the part of one training that is done, 0 to 1.
TRAINING = "training"


@dataclass(frozen=True)
class Tick:
    """Where a piece of work is.

    Attributes:
        done: Part that is done, 0 to 1.
        message: What is being done.
        seconds_left: Estimated from the pace so far, None before there is one.
        values: Figures on the way, such as a loss, for whoever draws curves.
    """

    done: float
    message: str = ""
    seconds_left: float | None = None
    values: Mapping[str, float] = field(default_factory=dict)


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
        self._start = time.monotonic()

    def check(self) -> None:
        """Raise `Cancelled` if the work was told to stop."""
        if self._cancelled is not None and self._cancelled():
            raise Cancelled("cancelled; nothing was changed")

    def update(self, done: float, message: str = "", **values: float) -> None:
        """Report that the part `done` (0 to 1) is done."""
        self.check()
        if self._report is not None:
            spent = time.monotonic() - self._start
            # The first moments say little of the pace.
            left = spent * (1 - done) / done if done > 0.003 and spent > 0.5 else None
            self._report(Tick(min(max(done, 0.0), 1.0), message, left, values))

    def part(self, low: float, high: float, title: str = "") -> Progress:
        """Return a progress whose 0 to 1 is `low` to `high` of this one."""

        def report(tick: Tick) -> None:
            message = f"{title}: {tick.message}" if title and tick.message else title or tick.message
            self.update(low + tick.done * (high - low), message, **tick.values)

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
