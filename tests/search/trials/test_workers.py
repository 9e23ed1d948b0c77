"""Work on any executor: as much at a time as it has workers, and a worker that is lost costs what it was at."""

from __future__ import annotations

import threading
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from tests.search.test_sensitivity import trial_context_of
from workbench.errors import Cancelled, WorkbenchError
from workbench.jobs.progress import Progress
from workbench.search.trials import workers as module
from workbench.search.trials.parcel import width_of
from workbench.search.trials.workers import Lost, Work, Workers


@pytest.fixture(scope="module")
def root(images):
    return trial_context_of(images)


class Simulated(Executor):
    """Sleeps instead of working, on a clock of its own: `times` are the seconds of each piece of work."""

    def __init__(self, width: int, times) -> None:
        self._max_workers, self._times = width, list(times)
        self._under_way: list[tuple[float, Future, object]] = []
        self.now = self.busy = 0.0

    def submit(self, fn, *args, **kwargs):
        future, seconds = Future(), self._times.pop(0)
        assert len(self._under_way) < self._max_workers, "more was handed over than fits"
        self._under_way.append((self.now + seconds, future, args))
        self.busy += seconds
        return future

    def wait(self, futures, **_):
        """Stand in for `concurrent.futures.wait`: the next piece that ends, ends."""
        self.now, future, _ = min(self._under_way, key=lambda row: row[0])
        self._under_way = [row for row in self._under_way if row[1] is not future]
        future.set_result((True, self.now))
        return SimpleNamespace(done={future}).done, set(futures) - {future}


@pytest.mark.parametrize("width", [1, 4, 16])
def test_sleeping_candidates_keep_all_workers_busy(monkeypatch, root, width):
    times = [0.5 + (7 * number % 11) / 10 for number in range(200)]
    executor, left, took = Simulated(width, times), iter(range(len(times))), []
    monkeypatch.setattr(module, "wait", executor.wait)
    workers = Workers(root, executor)
    monkeypatch.setattr(workers, "_bytes", lambda name: b"")
    workers.run(
        lambda: None if (n := next(left, None)) is None else Work(print, tag=n),
        lambda *come: took.append(come),
        Progress(),
    )
    assert sorted(work.tag for work, _ in took) == list(range(len(times)))
    assert executor.busy / executor.now >= 0.85 * width


def double(context, number):
    return context.state, 2 * number


def fail(context, number):
    raise RuntimeError("the worker ran out of luck\nand more")


def refuse(context):
    raise WorkbenchError("this cannot be done")


def run(workers, pieces, progress=None):
    left, came = iter(pieces), []
    workers.run(lambda: next(left, None), lambda work, result: came.append((work.tag, result)), progress or Progress())
    return dict(came)


@pytest.mark.parametrize("pool", [None, 2])
def test_work_is_done_here_or_elsewhere_on_the_state_it_names(root, pool):
    executor = ThreadPoolExecutor(pool) if pool else None
    workers = Workers(root, executor)
    other = root.state.with_notes("another")
    workers.share("other", other)
    came = run(workers, [Work(double, (3,), "", 0), Work(double, (4,), "other", 1)])
    assert [came[0][1], came[1][1]] == [6, 8]
    assert came[1][0].notes == ("another",)
    workers.forget("other")
    if executor:
        executor.shutdown()


def test_a_lost_worker_costs_its_work_and_nothing_else(root):
    with ThreadPoolExecutor(2) as pool:
        came = run(Workers(root, pool), [Work(fail, (1,), "", 0), Work(double, (2,), "", 1)])
    assert came[0] == Lost("its worker was lost: the worker ran out of luck")
    assert came[1][1] == 4


class Broken(ThreadPoolExecutor):
    """Breaks at the second piece of work, as a pool does whose process was killed."""

    count = 0

    def submit(self, *args, **kwargs):
        self.count += 1
        if self.count > 2:
            raise BrokenExecutor("a process was killed")
        return super().submit(*args, **kwargs)


def test_a_broken_executor_is_done_without(root):
    with Broken(1) as pool:
        workers = Workers(root, pool)
        came = run(workers, [Work(double, (number,), "", number) for number in range(4)])
    assert {tag: result[1] for tag, result in came.items()} == {0: 0, 1: 2, 2: 4, 3: 6}
    assert "a process was killed" in workers.broken
    assert workers.width == 1


def test_what_work_refuses_reaches_who_asked_and_cancelling_stops(root):
    with ThreadPoolExecutor(1) as pool, pytest.raises(WorkbenchError, match="cannot be done"):
        run(Workers(root, pool), [Work(refuse)])
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled):
        run(Workers(root), [Work(double, (1,))], Progress(None, stop.is_set))


def test_width_follows_the_workers_and_not_this_machine():
    assert width_of(None) == 1
    with ThreadPoolExecutor(3) as pool:
        assert width_of(pool) == 3
    assert width_of(SimpleNamespace(_client=SimpleNamespace(nthreads=lambda: {"a": 2, "b": 1}))) == 3
