"""Taking turns on the processor.

A preview, a scan and a training step may be wanted at the same time, each with as many threads as there are
cores. Run together they get in each other's way far more than twice over, and whatever is timed meanwhile is
wrong. So each pass of a batch waits for its turn; turns are given in the order they were asked for, so that a
preview waits for one batch of a scan and not for the scan.
"""

from __future__ import annotations

from threading import Condition, get_ident


class Turn:
    """A lock that is fair, and that the thread which has it may take again."""

    def __init__(self) -> None:
        self._condition = Condition()
        self._next = self._serving = self._depth = 0
        self._owner: int | None = None

    def __enter__(self) -> None:
        me = get_ident()
        with self._condition:
            if self._owner == me:
                self._depth += 1
                return
            ticket, self._next = self._next, self._next + 1
            while self._serving != ticket:
                self._condition.wait()
            self._owner, self._depth = me, 1

    def __exit__(self, *_: object) -> None:
        with self._condition:
            self._depth -= 1
            if not self._depth:
                self._owner = None
                self._serving += 1
                self._condition.notify_all()


TURN = Turn()
