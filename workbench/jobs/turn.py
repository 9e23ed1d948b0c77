"""Taking turns on the processor.

A preview, a scan and a training step may be wanted at the same time, each with as many threads as there are
cores. Run together they get in each other's way far more than twice over, and whatever is timed meanwhile is
wrong. So each pass of a batch waits for its turn; turns are given in the order they were asked for, so that a
preview waits for one batch of a scan and not for the scan.
"""

from __future__ import annotations

from collections import deque
from threading import Condition, get_ident


class Turn:
    """A lock that is fair, and that the thread which has it may take again."""

    def __init__(self) -> None:
        self._condition = Condition()
        self._waiting: deque[object] = deque()
        self._depth = 0
        self._owner: int | None = None

    def __enter__(self) -> None:
        me = get_ident()
        with self._condition:
            if self._owner == me:
                self._depth += 1
                return
            ticket = object()
            self._waiting.append(ticket)
            try:
                while self._owner is not None or self._waiting[0] is not ticket:
                    self._condition.wait()
                self._owner, self._depth = me, 1
            finally:
                # Also when the wait was interrupted: a ticket that nobody holds would stop all behind it.
                self._waiting.remove(ticket)
                self._condition.notify_all()

    def __exit__(self, *_: object) -> None:
        with self._condition:
            self._depth -= 1
            if not self._depth:
                self._owner = None
                self._condition.notify_all()


TURN = Turn()
