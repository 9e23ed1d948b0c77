"""Work that is asked for twice is done once; what is dropped is named."""

from __future__ import annotations

from threading import Event

from workbench.jobs.jobs import Jobs


def test_equal_work_does_not_queue_while_it_waits_or_runs() -> None:
    jobs, go, done = Jobs(), Event(), []

    def work(progress) -> None:
        go.wait(10)
        done.append(1)

    first = jobs.submit("Apply", work, key=("apply", 1))
    assert jobs.submit("Apply", work, key=("apply", 1)) is first
    other = jobs.submit("Apply", work, key=("apply", 2))
    assert other is not first
    assert jobs.submit("Look", work) is not jobs.submit("Look", work), "without a key nothing is known of it"
    go.set()
    other.result(10)
    assert jobs.submit("Apply", work, key=("apply", 1)) is not first, "what is done may be asked for again"
    jobs.close()
    assert len(done) >= 3


def test_cancel_says_what_was_still_to_be_done() -> None:
    jobs, started, go = Jobs(), Event(), Event()

    def work(progress) -> None:
        started.set()
        go.wait(10)

    running = jobs.submit("Train", work)
    started.wait(10)
    jobs.submit("Export", work)
    stopped = jobs.cancel()
    assert [(job.title, job.state) for job in stopped] == [("Train", "running"), ("Export", "waiting")]
    assert jobs.cancel() == ()
    go.set()
    running.result(10)
    jobs.close()
