"""Timing one run, and telling whether something else ran meanwhile.

On a busy machine a scheduler gives each program slices of a few milliseconds. A run that is longer than a slice is
interrupted, a shorter one often is not: the ratio of their times is then one of the scheduler's. So each run is timed
together with what it waited for processors:

- the calling thread, by the clock less its own processor time, where it was also taken off a processor;
- all other threads of the process, by the time that they were ready and did not run (Linux: `schedstat`).

What a system does not tell is left out: without any of it, only the use that other programs make of the processors
remains, which `OthersUse` follows. Where that is next to nothing, threads of this process have waited for each other:
that is the run's own.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

import psutil

try:
    import resource
except ImportError:  # there is none on Windows
    _involuntary: Callable[[], int] | None = None
else:
    # Of the whole process where threads are not told apart, as on macOS.
    _WHO = getattr(resource, "RUSAGE_THREAD", resource.RUSAGE_SELF)

    def _switches() -> int:
        return resource.getrusage(_WHO).ru_nivcsw

    _involuntary = _switches

# A run that waited for less than this part of its time, or less than so many seconds, counts as undisturbed.
DISTURBED, LEAST_WAIT = 0.03, 20e-6
# Processors that other programs use on a machine that is quiet.
QUIET = 0.15
TASKS = "/proc/self/task"


@dataclass(frozen=True)
class Run:
    """One timed run.

    Attributes:
        seconds: By the clock.
        waited: Seconds of these that threads which could have run had no processor, as far as the system tells.
    """

    seconds: float
    waited: float

    @property
    def disturbed(self) -> bool:
        """Whether the time is not the run's own."""
        return self.waited > max(DISTURBED * self.seconds, LEAST_WAIT)


class Stopwatch:
    """Times runs of this thread, from `with Stopwatch() as stopwatch` on, when the threads of runtimes are there."""

    def __enter__(self) -> Stopwatch:
        self._own, self._others = -1, list[int]()
        me = str(threading.get_native_id())
        with contextlib.suppress(OSError):  # no such folder but on Linux
            for task in os.listdir(TASKS):  # noqa: PTH208  # of numbers, as fast as can be
                with contextlib.suppress(OSError):  # a thread that has just ended
                    opened = os.open(f"{TASKS}/{task}/schedstat", os.O_RDONLY)
                    self._own, others = (opened, []) if task == me else (self._own, [opened])
                    self._others += others
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for opened in (*self._others, *([self._own] if self._own >= 0 else [])):
            os.close(opened)

    @property
    def watches(self) -> bool:
        """Whether the system tells when a run is disturbed."""
        return self._own >= 0 or _involuntary is not None

    def time(self, work: Callable[[], object]) -> Run:
        """Do work and return how long it took, and waited."""
        # Asking the system may itself cost this thread its processor, so that the clock is read last before the work
        # and first after it; what was waited for in between the questions and the clock shows in neither of both.
        others, taken = self._waited(self._others), self._taken_off()
        processor, start = time.thread_time(), time.perf_counter()
        work()
        seconds = time.perf_counter() - start
        absent = seconds - (time.thread_time() - processor)
        own = min(max(absent, 0.0), self._taken_off() - taken)
        return Run(seconds, own + self._waited(self._others) - others)

    def _taken_off(self) -> float:
        """Return an upper limit, in seconds and growing, of how long this thread was ready and did not run."""
        if self._own >= 0:
            return self._waited([self._own])
        # A number of times instead: each may have been as long as can be.
        return _involuntary() * 1e9 if _involuntary is not None else 0.0

    @staticmethod
    def _waited(opened: list[int]) -> float:
        total = 0
        for one in opened:
            with contextlib.suppress(OSError, IndexError):  # a thread that has ended waits no more
                total += int(os.pread(one, 64, 0).split()[1])
        return total * 1e-9


class OthersUse:
    """How many processors other programs use, on average since it was made."""

    def __init__(self) -> None:
        self._start, self._used = time.perf_counter(), _others_seconds()

    def cores(self) -> float:
        """Return the number; what a virtual machine's host took away counts as used."""
        passed = max(time.perf_counter() - self._start, 1e-3)
        return max(_others_seconds() - self._used, 0.0) / passed

    @property
    def quiet(self) -> bool:
        """Whether they use so little that threads of this process can have waited for each other only."""
        return self.cores() < QUIET


def _others_seconds() -> float:
    """Return the processor seconds of all other programs; in steps of about ten milliseconds."""
    everyone = psutil.cpu_times()
    idle = everyone.idle + getattr(everyone, "iowait", 0.0)
    # A guest's time is in the user's already.
    guests = getattr(everyone, "guest", 0.0) + getattr(everyone, "guest_nice", 0.0)
    return float(sum(everyone) - idle - guests) - time.process_time()
