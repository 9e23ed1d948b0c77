"""What a session promises to whoever observes it, cancels it, or uses it from several threads."""

import threading
from dataclasses import replace

import pytest
import torch
from torch import nn

import workbench as wb
from workbench.errors import Cancelled, WorkbenchError
from workbench.jobs.progress import Progress

FAST = wb.Settings(seconds=0.0, runtimes=("eager",))


def in_time(work, seconds=20.0):
    """Do something on a thread of its own, and return whether it ended."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    return not thread.is_alive()


@pytest.mark.parametrize("threaded", [False, True])
def test_an_observer_may_take_a_preview_back_or_ask_for_another(vectors, open_session, threaded):
    session = open_session(vectors, FAST, threaded=threaded)
    asked = []

    def seen(change):
        if change.new is not None and not asked:
            asked.append(change.new.step)
            session.take_back()
            session.preview(wb.Prune(amount=0.2))

    session.observe(seen, "staged")
    assert in_time(lambda: session.preview(wb.Prune(amount=0.5)))
    while session.staged is None or not session.staged.done:
        threading.Event().wait(0.01)
    assert session.staged.step == wb.Prune(amount=0.2)
    assert in_time(lambda: session.preview(wb.Prune(amount=0.3)))


def test_an_observer_may_wait_for_another_thread_that_uses_the_session(vectors, open_session):
    session = open_session(vectors, FAST)
    ended = []
    session.observe(lambda _: ended.append(in_time(session.take_back, 10.0)), "history")
    session.apply(wb.Prune(amount=0.5))
    assert ended == [True]


@pytest.mark.parametrize("work", ["extend", "replay", "apply"])
def test_what_is_cancelled_while_it_is_measured_leaves_all_as_it_was(vectors, open_session, work):
    session = open_session(vectors, FAST)
    session.apply(wb.Quantize())
    before, stop = (session.history, session.measurements, session.settings), []
    progress = Progress(lambda tick: stop.append(1) if "score" in tick.message else None, lambda: bool(stop))
    arguments = {
        "extend": ((wb.Prune(), wb.Prune(amount=0.7)),),
        "replay": (wb.Recipe((wb.Prune(amount=0.9),), seed=4),),
        "apply": (wb.Prune(),),
    }
    with pytest.raises(Cancelled):
        getattr(session, work)(*arguments[work], progress)
    assert (session.history, session.measurements, session.settings) == before


def test_numbers_are_never_filed_under_a_state_that_was_taken_over_meanwhile(vectors, open_session, tmp_path):
    earlier = open_session(vectors, FAST, autosave=tmp_path)
    earlier.apply(wb.Prune(amount=0.9))
    session = open_session(vectors, FAST, autosave=tmp_path)
    real = session._measure_now

    def measure_slowly(recipe, *rest):
        measured = real(recipe, *rest)
        if recipe.steps:
            session.restore(earlier._autosave.path)
        return measured

    session.apply(wb.Quantize(bits=2))
    session._measure_now = measure_slowly
    with pytest.raises(WorkbenchError, match="taken over meanwhile"):
        session.apply(wb.Quantize(bits=3))
    assert session.history.nodes == earlier.history.nodes
    assert session.measurements[1].score == earlier.measurements[1].score


def test_one_state_is_measured_once_though_two_ask(vectors, open_session):
    session = open_session(vectors, FAST)
    measured, real = [], session._measure_now

    def count(recipe, *rest):
        measured.append(recipe)
        return real(recipe, *rest)

    session._measure_now = count
    threads = [threading.Thread(target=session.measure, args=(0,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(measured) == 1


def test_weights_that_are_changed_from_outside_are_seen(vectors, open_session):
    model = nn.Sequential(nn.Linear(10, 4)).eval()
    session = open_session(wb.Subject("own", model, vectors.task), FAST)
    session.measure(0)
    with torch.no_grad():
        model[0].weight.add_(1.0)
    with pytest.raises(WorkbenchError, match="were changed since it was loaded"):
        session.apply(wb.Prune())


def test_other_settings_make_measurements_void_and_another_seed_those_of_states(vectors, open_session):
    session = open_session(vectors, FAST)
    session.measure(0)
    session.apply(wb.Prune())
    session.settings = replace(FAST, seed=3)
    assert list(session.measurements) == [0]
    session.settings = replace(FAST, seed=3, batch=4)
    assert session.measurements == {}
    assert session.baseline.latency["eager"].batch == 4


def test_the_current_state_is_always_at_hand(vectors, open_session, monkeypatch):
    monkeypatch.setattr("workbench.session.states.KEPT_BYTES", 1)
    session = open_session(vectors, FAST)
    for amount in (0.2, 0.4, 0.6):
        session.apply(wb.Prune(amount=amount))
        assert session.at_hand(session.history.at)
    session.go(1)
    assert session.at_hand(1)
    assert not session.at_hand(3)


def test_one_module_in_subjects_of_two_sizes_has_its_own_numbers_in_each(open_session):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.fc = nn.Conv2d(1, 4, 3, padding=1), nn.Linear(4, 3)

        def forward(self, x):
            return self.fc(self.conv(x).relu().mean((2, 3)))

    net, seen = Net().eval(), []
    for side in (8, 32):
        data = (torch.randn(20, 1, side, side), torch.arange(20) % 3)
        session = open_session(wb.Subject("net", net, wb.Task(validation=data)), FAST)
        seen.append(([layer.macs for layer in session.layers], session.baseline.macs))
    assert seen[0] == ([36 * 64, 12], 36 * 64 + 12)
    assert seen[1] == ([36 * 1024, 12], 36 * 1024 + 12)


def test_a_long_training_costs_no_more_a_batch_than_a_short_one(vectors, open_session):
    from workbench.jobs.jobs import Job
    from workbench.jobs.progress import Figures, Tick
    from workbench.session.curve import MOST

    session = open_session(vectors, FAST)
    for number in range(5 * MOST):
        figures = Figures(number / (5 * MOST), loss=float(number))
        session._show_jobs((Job(1, "train", "running", Tick(figures.at, figures=figures)),))
    assert MOST / 2 <= len(session.curve) <= MOST + 1
    done = [point[0] for point in session.curve]
    assert done == sorted(done)
    assert done[0] == 0.0
    assert done[-1] > 0.99
