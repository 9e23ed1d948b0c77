"""Work on many workers: what handing it out costs, and what a cluster gives, one of its workers killed included.

pytest tests/benchmarks/test_workers.py -s --override-ini=addopts=--import-mode=importlib
"""

from __future__ import annotations

import heapq
import os
import signal
import threading
import time
from concurrent.futures import Executor, Future
from typing import Any

import pytest

import workbench as wb
from tests.search.test_sensitivity import trial_context_of
from workbench.jobs.progress import Progress
from workbench.search.trials import Tolerance, run_trials
from workbench.search.trials.workers import Work, Workers

PIECES = 20  # for each worker
SECONDS = (0.5, 1.5)  # that a piece sleeps


class Sleeping(Executor):
    """So many workers that only sleep, in one thread that knows when each wakes."""

    def __init__(self, width: int) -> None:
        self._max_workers = width
        self._asleep: list[tuple[float, int, Future[Any]]] = []
        self._changed, self._number, self._over = threading.Condition(), 0, False
        self._thread = threading.Thread(target=self._wake, daemon=True)
        self._thread.start()

    def submit(self, fn: Any, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        *_, (seconds,) = args
        with self._changed:
            self._number += 1
            heapq.heappush(self._asleep, (time.monotonic() + seconds, self._number, future))
            self._changed.notify()
        return future

    def _wake(self) -> None:
        while not self._over:
            with self._changed:
                wait = self._asleep[0][0] - time.monotonic() if self._asleep else 0.1
                if wait > 0:
                    self._changed.wait(wait)
                    continue
                _, _, future = heapq.heappop(self._asleep)
            future.set_result((True, None))

    def shutdown(self, *args: Any, **kwargs: Any) -> None:
        self._over = True


def least(seconds: list[float], width: int) -> float:
    """Return when all would be done if handing work out cost nothing."""
    free = [0.0] * width
    for one in seconds:
        heapq.heappush(free, heapq.heappop(free) + one)
    return max(free)


def test_handing_out_costs_little_up_to_a_thousand_workers(images: wb.Subject) -> None:
    root = trial_context_of(images)
    print("\nworkers  pieces  ideal s  took s  overhead  speed-up a worker")
    for width in (1, 10, 100, 1000):
        low, high = SECONDS
        seconds = [low + (high - low) * (7 * number % 101) / 100 for number in range(PIECES * width)]
        left = iter(seconds)
        executor = Sleeping(width)
        start = time.monotonic()
        asked = Workers(root, executor).results(
            lambda left=left: None if (one := next(left, None)) is None else Work(time.sleep, (one,)),  # type: ignore[misc]
            Progress(),
        )
        count = sum(1 for _ in asked)
        took, ideal = time.monotonic() - start, least(seconds, width)
        executor.shutdown()
        speed = sum(seconds) / took / width
        print(f"{width:7d}  {count:6d}  {ideal:7.2f}  {took:6.2f}  {took / ideal - 1:8.1%}  {speed:.2f}")
        assert count == len(seconds)


def test_a_cluster_whose_worker_is_killed(images: wb.Subject) -> None:
    distributed = pytest.importorskip("distributed")
    root = trial_context_of(images)
    trials = [(wb.Prune(amount=amount / 40),) for amount in range(1, 39)]
    alone = dict(run_trials(root, trials, Tolerance()))
    for kill in (False, True):
        with (
            distributed.LocalCluster(
                n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
            ) as cluster,
            distributed.Client(cluster) as client,
        ):
            came, start, dead = {}, time.monotonic(), not kill
            for number, outcome in run_trials(root, trials, Tolerance(), executor=client.get_executor()):
                came[number] = outcome
                if not dead:
                    dead = True
                    os.kill(next(iter(cluster.workers.values())).process.process.pid, signal.SIGKILL)
            lost = [number for number, outcome in came.items() if outcome.lost]
            same = all(came[number] == alone[number] for number in came if number not in lost)
            what = "one of two workers killed" if kill else "two workers"
            print(f"\n{what}: {len(came)} trials, {len(lost)} lost, the others as here: {same}", end="")
            print(f", {time.monotonic() - start:.1f} s")
            assert same
