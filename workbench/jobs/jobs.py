"""Long work: one at a time, with progress and cancel, on a worker thread or, for tests, on the caller's."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from threading import Event, RLock
from typing import Any, Literal

from workbench.errors import Cancelled, WorkbenchError
from workbench.jobs.progress import Progress, Tick

JobState = Literal["waiting", "running", "done", "failed", "cancelled"]


@dataclass(frozen=True)
class Job:
    """What people see of one piece of work."""

    number: int
    title: str
    state: JobState = "waiting"
    tick: Tick = field(default_factory=lambda: Tick(0.0))
    error: str = ""

    @property
    def active(self) -> bool:
        """Whether it is still to be done."""
        return self.state in ("waiting", "running")


class Jobs:
    """Runs work in the order it was given.

    Args:
        threaded: False runs each piece of work inside of `submit`, on the caller's thread.
        changed: Called with the list of jobs after every change, on the thread that made it.
        failed: Called with an error that ended a job.
    """

    def __init__(
        self,
        *,
        threaded: bool = True,
        changed: Callable[[tuple[Job, ...]], None] = lambda _: None,
        failed: Callable[[BaseException], None] = lambda _: None,
    ) -> None:
        self._threaded, self._changed, self._failed = threaded, changed, failed
        self._numbers = itertools.count(1)
        self._jobs: dict[int, Job] = {}
        self._stops: dict[int, Event] = {}
        self._same: dict[int, tuple[object, Future[Any]]] = {}
        self._lock, self._publishing = RLock(), RLock()
        self._pool: ThreadPoolExecutor | None = None

    @property
    def list(self) -> tuple[Job, ...]:
        """The jobs that wait or run, and the last few that ended."""
        with self._lock:
            return tuple(self._jobs.values())

    def submit(self, title: str, work: Callable[[Progress], Any], key: object = None) -> Future[Any]:
        """Start `work(progress)` when its turn comes, and return its future.

        Args:
            title: What people read.
            work: What is done.
            key: What equal work has in common. While such work waits or runs its future is returned, and nothing is
                started: a second click asks for nothing more. None is equal to nothing.
        """
        number, stop = next(self._numbers), Event()
        with self._lock:
            for asked, (known, same) in self._same.items():
                if key is not None and known == key and self._jobs[asked].active and not self._stops[asked].is_set():
                    return same
            self._jobs[number], self._stops[number] = Job(number, title), stop
            for old in [n for n, job in self._jobs.items() if not job.active][:-5]:
                del self._jobs[old], self._stops[old]
                self._same.pop(old, None)
        self._publish()
        if not self._threaded:
            future: Future[Any] = Future()
            try:
                future.set_result(self._run(number, stop, work))
            except BaseException as error:  # a future carries whatever was raised
                future.set_exception(error)
            return future
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(1, thread_name_prefix="workbench-job")
            future = self._pool.submit(self._run, number, stop, work)
            self._same[number] = key, future
            return future

    def cancel(self, number: int | None = None) -> tuple[Job, ...]:
        """Ask one job, or all of them, to stop at its next report of progress; return what was still to be done."""
        with self._lock:
            asked = [key for key in self._stops if number in (None, key)]
            stopped = tuple(job for key in asked if (job := self._jobs[key]).active and not self._stops[key].is_set())
            for key in asked:
                self._stops[key].set()
        return stopped

    def close(self) -> None:
        """Cancel everything and end the worker thread."""
        self.cancel()
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=True, cancel_futures=True)

    def _run(self, number: int, stop: Event, work: Callable[[Progress], Any]) -> Any:
        def report(tick: Tick) -> None:
            self._set(number, tick=tick)

        try:
            if stop.is_set():
                raise Cancelled("cancelled before it began")
            self._set(number, state="running")
            result = work(Progress(report, stop.is_set))
        except Cancelled:
            self._set(number, state="cancelled")
            raise
        except BaseException as error:
            calm = isinstance(error, WorkbenchError)
            self._set(number, state="failed", error=str(error) if calm else repr(error))
            self._failed(error)
            raise
        self._set(number, state="done", tick=Tick(1.0))
        return result

    def _set(self, number: int, **values: Any) -> None:
        with self._lock:
            if number in self._jobs:
                self._jobs[number] = replace(self._jobs[number], **values)
        self._publish()

    def _publish(self) -> None:
        with self._publishing:  # or an older list could be told after a newer one
            self._changed(self.list)
