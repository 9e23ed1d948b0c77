"""Work on any executor: as much at a time as it has workers, and a worker that is lost costs what it was at."""

from __future__ import annotations

import io
import os
import signal
import threading
import time
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from types import SimpleNamespace

import pytest
import torch

import workbench as wb
from tests.sampling import whole
from tests.search.test_sensitivity import trial_context_of
from workbench.errors import Cancelled, WorkbenchError
from workbench.jobs.progress import Progress
from workbench.search.trials import Tolerance, run_trials
from workbench.search.trials import workers as module
from workbench.search.trials.parcel import KEPT, PREFIX, Outbox, has, opened, receive
from workbench.search.trials.workers import Lost, Work, Workers, width_of


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

    def queue(self):
        """Stand in for the queue of what ended: the next piece of work ends when somebody asks for it."""
        ended = SimpleQueue()

        def get(timeout):
            self.now, future, _ = min(self._under_way, key=lambda row: row[0])
            self._under_way = [row for row in self._under_way if row[1] is not future]
            future.set_result((True, self.now))
            return ended.get_nowait()

        return SimpleNamespace(put=ended.put, get=get)


@pytest.mark.parametrize("width", [1, 4, 16])
def test_sleeping_candidates_keep_all_workers_busy(monkeypatch, root, width):
    times = [0.5 + (7 * number % 11) / 10 for number in range(200)]
    executor, left = Simulated(width, times), iter(range(len(times)))
    monkeypatch.setattr(module, "SimpleQueue", executor.queue)
    asked = lambda: None if (n := next(left, None)) is None else Work(print, tag=n)  # noqa: E731  # read beside what it is for
    took = list(Workers(root, executor).results(asked, Progress()))
    assert sorted(work.tag for work, _ in took) == list(range(len(times)))
    assert executor.busy / executor.now >= 0.85 * width


def double(context, number):
    return context.state, 2 * number


def fail(context, number):
    raise RuntimeError("the worker ran out of luck\nand more")


def refuse(context):
    raise WorkbenchError("this cannot be done")


def run(workers, pieces, progress=None):
    left = iter(pieces)
    results = workers.results(lambda: next(left, None), progress or Progress())
    return {work.tag: result for work, result in results}


@pytest.mark.parametrize("pool", [None, 2])
def test_work_is_done_here_or_elsewhere_on_the_state_it_names(root, pool):
    executor = ThreadPoolExecutor(pool) if pool else None
    workers = Workers(root, executor)
    other = root.state.with_notes("another")
    workers.share("other", other)
    came = run(workers, [Work(double, (3,), "", 0), Work(double, (4,), "other", 1)])
    assert [came[0][1], came[1][1]] == [6, 8]
    assert came[1][0].notes == ("another",)
    if executor:
        executor.shutdown()


def test_a_lost_worker_costs_its_work_and_nothing_else(root):
    with ThreadPoolExecutor(2) as pool:
        came = run(Workers(root, pool), [Work(fail, (1,), "", 0), Work(double, (2,), "", 1)])
    assert came[0] == Lost("its worker failed: the worker ran out of luck")
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


def test_threads_of_a_worker_have_contexts_of_their_own_that_share_tensors(root):
    """Two threads that shared an evaluator would meet in its cache; mapped weights cost nothing twice."""
    barrier = threading.Barrier(2)
    with ThreadPoolExecutor(2) as pool:
        came = run(Workers(root, pool), [Work(seen, (barrier,), "", number) for number in range(2)])
    (one, first), (other, second) = came.values()
    assert one is not other
    assert first == second


def seen(context, barrier):
    barrier.wait(10)
    maps = Path("/proc/self/maps")  # of Linux
    assert not maps.exists() or PREFIX in maps.read_text(encoding="utf-8")
    return context.evaluator, [float(value.detach().sum()) for value in context.state.model.parameters()]


class Remote(ThreadPoolExecutor):
    """Workers that cannot open this machine's files."""

    sent = 0

    def submit(self, fn, parcels, data, *args):
        self.sent += len(data)
        far = {name: replace(parcel, path="/nowhere/" + parcel.digest) for name, parcel in parcels.items()}
        return super().submit(fn, far, data, *args)


def test_workers_that_cannot_open_the_file_get_its_bytes_once(root):
    with Remote(1) as pool:
        workers = Workers(root, pool)
        workers.share("other", root.state.with_notes("far away"))
        came = run(workers, [Work(double, (number,), "other", number) for number in range(4)])
    assert {tag: result[1] for tag, result in came.items()} == {0: 0, 1: 2, 2: 4, 3: 6}
    assert came[3][0].notes == ("far away",)
    assert pool.sent == 2


def test_a_file_of_somebody_else_is_not_opened(root, monkeypatch):
    outbox = Outbox()
    parcel = outbox.put([1, 2])
    assert has(parcel)
    assert not replace(parcel, size=parcel.size + 1).at_hand
    monkeypatch.setattr("os.getuid", lambda: 4321)
    assert not parcel.at_hand
    outbox.close()
    assert not Path(parcel.path).exists()


def test_without_room_on_disk_bytes_are_sent(root, monkeypatch):
    save = torch.save

    def full(content, file, **options):
        if not isinstance(file, io.BytesIO):
            raise RuntimeError("unexpected pos 704 vs 598")  # as torch's writer has it
        save(content, file, **options)

    monkeypatch.setattr("torch.save", full)
    with ThreadPoolExecutor(1) as pool:
        assert run(Workers(root, pool), [Work(double, (2,), "", 0)])[0][1] == 4


def wait_until_told(context, begun):
    begun.set()
    for _ in range(1000):
        context.context.progress.check()
        time.sleep(0.01)
    return "nobody told it"


def test_what_is_under_way_elsewhere_stops_when_nobody_waits_any_more(root):
    begun, ended = threading.Event(), []
    with ThreadPoolExecutor(1) as pool:
        workers = Workers(root, pool)
        results = workers.results(iter([Work(wait_until_told, (begun,)), None]).__next__, Progress(None, begun.is_set))
        with pytest.raises(Cancelled):
            list(results)
        pool.submit(lambda: ended.append(True)).result(timeout=5)
    assert ended


def test_a_lost_trial_is_told_of_and_never_kept(root, tmp_path, monkeypatch):
    trials = [(wb.Prune(amount=0.5),), (wb.Prune(amount=0.9, layers="hidden"),)]
    with Breaking(1) as pool:
        came = dict(run_trials(root, trials, Tolerance(), executor=pool, folder=tmp_path))
    assert came[0].lost
    assert "its worker failed" in came[0].reason
    assert came[1].score is not None
    again = dict(run_trials(root, trials, Tolerance(), folder=tmp_path))
    assert again[0].score is not None
    assert again[1] == came[1]


class Breaking(ThreadPoolExecutor):
    """Loses its first piece of work."""

    lost = False

    def submit(self, *args):
        if self.lost:
            return super().submit(*args)
        self.lost = True
        future = Future()
        future.set_exception(RuntimeError("killed"))
        return future


def test_a_look_that_is_lost_leaves_what_was_known(root):
    trials = [(wb.Prune(amount=0.5),)]
    with Breaking(1) as pool:
        pool.lost = True  # the first look is done
        seen = []
        for _, outcome in run_trials(root, trials, Tolerance(1e-9, 0.0), seconds=30.0, executor=pool):
            seen.append(outcome)
            pool.lost = False  # and the second is not
    assert len(seen) == 1
    assert seen[0].score is not None


class Unreachable(ThreadPoolExecutor):
    """A cluster whose scheduler stops to answer, while its workers go on."""

    def __init__(self) -> None:
        super().__init__(1)
        self.asked = 0
        self._client = SimpleNamespace(nthreads=self.nthreads, run=lambda *_, **__: {})

    def nthreads(self):
        self.asked += 1
        if self.asked > 1:
            raise OSError("timed out trying to connect")
        return {"a": 1}


def test_a_scheduler_that_does_not_answer_ends_nothing(root, monkeypatch):
    monkeypatch.setattr(module, "COUNTED_SECONDS", 0.0)
    with Unreachable() as pool:
        came = run(Workers(root, pool), [Work(double, (number,), "", number) for number in range(3)])
        assert pool.asked > 1
        gone = Workers(root, pool)
    assert {tag: result[1] for tag, result in came.items()} == {0: 0, 1: 2, 2: 4}
    assert "timed out" in gone.broken


def test_what_came_as_bytes_is_kept_for_the_latest_alone():
    outbox = Outbox()
    parcels = [outbox.put(number) for number in range(KEPT + 2)]
    far = [replace(parcel, path="/nowhere") for parcel in parcels]
    for parcel, away in zip(parcels, far, strict=True):
        receive(away, outbox.data(parcel))
    assert [has(away) for away in far] == [False, False, *[True] * KEPT]
    assert opened(far[-1]) == KEPT + 1
    outbox.close()


@whole
@pytest.mark.slow
def test_a_killed_worker_of_a_cluster_costs_at_most_its_trial(root, tmp_path):
    """The nanny starts another worker, which maps the same file."""
    distributed = pytest.importorskip("distributed")
    trials = [(wb.Prune(amount=amount / 20),) for amount in range(1, 19)]
    alone = dict(run_trials(root, trials, Tolerance()))
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        came, killed = {}, False
        for number, outcome in run_trials(root, trials, Tolerance(), executor=client.get_executor(), folder=tmp_path):
            came[number] = outcome
            if not killed:
                killed = True
                os.kill(next(iter(cluster.workers.values())).process.process.pid, signal.SIGKILL)
    assert sum(outcome.lost for outcome in came.values()) <= 1
    assert {n: outcome for n, outcome in came.items() if not outcome.lost}.items() <= alone.items()
