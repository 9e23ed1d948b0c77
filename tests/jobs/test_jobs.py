"""Long work: in order, one at a time, told to stop, and nothing is lost of an error."""

import threading
import time

import pytest

from workbench.errors import Cancelled, WorkbenchError
from workbench.jobs.jobs import Jobs


@pytest.fixture(params=[True, False], ids=["threaded", "same thread"])
def jobs(request):
    made = Jobs(threaded=request.param)
    yield made
    made.close()


def states(jobs):
    return [job.state for job in jobs.list]


def test_work_gives_its_result_and_its_progress(jobs):
    future = jobs.submit("add", lambda progress: progress.update(0.5, "half") or 42)
    assert future.result(5) == 42
    assert [(job.title, job.state, job.tick.done) for job in jobs.list] == [("add", "done", 1.0)]


def test_errors_end_one_job_and_not_the_next():
    failed = []
    jobs = Jobs(threaded=True, failed=failed.append)
    calm, defect = WorkbenchError("no such layer"), ValueError("defect")

    def fail(error):
        raise error

    one, two = (jobs.submit("bad", lambda _, e=error: fail(e)) for error in (calm, defect))
    three = jobs.submit("good", lambda _: 1)
    assert three.result(5) == 1
    assert (one.exception(), two.exception()) == (calm, defect)
    assert [job.error for job in jobs.list] == ["no such layer", "ValueError('defect')", ""]
    assert failed == [calm, defect]
    jobs.close()


def test_same_thread_work_also_carries_its_error():
    jobs = Jobs(threaded=False)
    with pytest.raises(ZeroDivisionError):
        jobs.submit("bad", lambda _: 1 // 0).result()
    assert states(jobs) == ["failed"]


def test_running_and_waiting_work_stops_when_told():
    jobs, began = Jobs(threaded=True), threading.Event()

    def work(progress):
        began.set()
        while True:
            time.sleep(0.001)
            progress.update(0.5)

    running, waiting = jobs.submit("runs", work), jobs.submit("waits", work)
    assert began.wait(5)
    assert states(jobs) == ["running", "waiting"]
    jobs.cancel()
    for future in (running, waiting):
        with pytest.raises(Cancelled):
            future.result(5)
    assert states(jobs) == ["cancelled", "cancelled"]
    jobs.close()


def test_one_job_can_be_stopped_alone():
    jobs, gate = Jobs(threaded=True), threading.Event()
    first = jobs.submit("first", lambda progress: gate.wait(5))
    second = jobs.submit("second", lambda progress: progress.update(0.1) or 2)
    third = jobs.submit("third", lambda progress: progress.update(0.1) or 3)
    jobs.cancel(jobs.list[1].number)
    gate.set()
    assert first.result(5) is True
    assert isinstance(second.exception(5), Cancelled)
    assert third.result(5) == 3
    jobs.close()


def test_everything_is_told_in_order():
    seen = []
    jobs = Jobs(threaded=False, changed=lambda found: seen.append([(j.state, round(j.tick.done, 1)) for j in found]))
    jobs.submit("a", lambda progress: progress.update(0.3))
    assert seen == [[("waiting", 0.0)], [("running", 0.0)], [("running", 0.3)], [("done", 1.0)]]


def test_only_the_last_few_ended_jobs_are_kept(jobs):
    for number in range(30):
        jobs.submit(str(number), lambda _: None).result(5)
    assert len(jobs.list) <= 6
    assert jobs.list[-1].title == "29"


def test_closing_ends_the_thread_and_what_runs():
    before = threading.active_count()
    jobs, began = Jobs(threaded=True), threading.Event()

    def work(progress):
        began.set()
        while True:
            progress.check()
            time.sleep(0.001)

    future = jobs.submit("endless", work)
    assert began.wait(5)
    jobs.close()
    assert isinstance(future.exception(5), Cancelled)
    assert threading.active_count() == before
    jobs.close()
