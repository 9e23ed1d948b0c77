"""The session, headless: what it holds, what it says, and that nothing is lost when something fails."""

import threading

import pytest
import torch

import workbench as wb
from workbench.checkpoint.checkpoint import tensors
from workbench.errors import WorkbenchError


def same(one, other):
    mine, yours = tensors(one.model), tensors(other.model)
    return mine.keys() == yours.keys() and all(torch.equal(mine[name], yours[name]) for name in mine)


def test_apply_measures_and_moves(session):
    base = session.baseline
    assert base.score.value == pytest.approx(0.9, abs=0.08)
    found = session.apply(wb.Prune(amount=0.8))
    assert session.current is found
    assert session.recipe.steps == (wb.Prune(amount=0.8),)
    assert found.score.change == pytest.approx(found.score.value - base.score.value)
    assert found.bytes.total < base.bytes.total


def test_undo_gives_back_the_same_bits_even_after_they_were_forgotten(session, monkeypatch):
    monkeypatch.setattr("workbench.session.states.KEPT_BYTES", 1)  # only the newest state is kept
    session.settings = wb.Settings(seconds=0.0, runtimes=("eager",))
    session.apply(wb.PruneChannels(amount=0.3))
    first = session.state
    kept = {name: value.clone() for name, value in tensors(first.model).items()}
    for amount in range(3):
        session.apply(wb.Prune(amount=amount / 10))
        session.undo()
    again = session.state
    assert all(torch.equal(kept[name], value) for name, value in tensors(again.model).items())
    session.undo()
    assert session.state.model is session.subject.model
    session.redo()
    assert same(session.state, first)
    assert len(session._states) == 1


def test_a_step_that_fails_leaves_everything(session):
    session.apply(wb.Prune(amount=0.4))
    before = session.history, session.measurements, session.recipe
    for step in (wb.Prune(layers="conv9"), wb.PruneChannels(layers="fc")):
        with pytest.raises(WorkbenchError, match=r"step 2 \("):
            session.apply(step)
        assert (session.history, session.measurements, session.recipe) == before


def test_fork_switch_and_go(session):
    session.settings = wb.Settings(seconds=0.0, runtimes=("eager",))
    session.apply(wb.Prune(amount=0.4))
    session.fork("int4")
    session.apply(wb.Quantize(bits=4))
    session.switch("main")
    assert len(session.recipe) == 1
    session.switch("int4")
    assert [step.kind for step in session.recipe] == ["prune", "quantize"]
    session.reset()
    assert len(session.recipe) == 0
    session.go(2)
    assert len(session.recipe) == 2


def test_observers_are_told(session):
    seen = []
    session.observe(lambda change: seen.append(change["name"]), ["history", "measurements", "staged", "table"])
    session.preview(wb.Prune(amount=0.5))
    assert session.staged.done
    session.apply(wb.Prune(amount=0.5))
    assert session.staged is None
    session.sensitivity(wb.Prune(), (0.5,))
    assert session.table.done
    assert {"history", "measurements", "staged", "table"} <= set(seen)


def test_previews_leave_no_trace(session):
    before = session.history
    session.preview(wb.Quantize(bits=2))
    assert session.staged.score.exact
    session.take_back()
    assert session.staged is None
    assert session.history == before
    assert session.measurements == {}


def test_replay_gives_the_same_numbers_and_the_seed_counts(session, open_session):
    session.settings = wb.Settings(seconds=0.0, runtimes=("eager",), seed=5)
    session.apply(wb.Prune(amount=0.6))
    found = session.apply(wb.FineTune(batch_size=100))
    other = open_session(session.subject, autosave=None)
    again = other.replay(session.recipe)
    assert other.settings.seed == 5
    assert (again.score, again.bytes) == (found.score, found.bytes)
    assert same(other.state, session.state)


def test_a_replay_that_fails_changes_nothing(session):
    session.apply(wb.Prune(amount=0.2))
    before = session.history, session.settings
    with pytest.raises(WorkbenchError, match=r"step 2 \(prune\)"):
        session.replay(wb.Recipe((wb.Quantize(), wb.Prune(layers="nope")), seed=9))
    assert (session.history, session.settings) == before


def test_work_on_the_worker_thread_can_be_stopped_and_fails_calmly(images, open_session):
    threads = threading.active_count()
    session = open_session(images, wb.Settings(seconds=0.0, runtimes=("eager",)), threaded=True)
    future = session.start("Train", session.apply, wb.FineTune(epochs=100))
    while not session.curve:
        threading.Event().wait(0.01)
    session.cancel()
    with pytest.raises(wb.Cancelled):
        future.result(20)
    assert len(session.recipe) == 0
    assert session.jobs[-1].state == "cancelled"
    assert session.error == ""
    failed = session.start("Prune", session.apply, wb.Prune(layers="conv9"))
    assert isinstance(failed.exception(20), WorkbenchError)
    assert "no layer matches 'conv9'" in session.error
    assert "Traceback" not in session.error
    done = session.start("Prune", session.apply, wb.Prune(amount=0.5)).result(20)
    assert done is session.current
    session.close()
    assert threading.active_count() == threads


def test_a_defect_shows_its_traceback_and_the_session_goes_on(session):
    def broken(progress):
        return 1 // 0

    session.start("broken", broken)
    assert "Traceback" in session.error
    assert "ZeroDivisionError" in session.error
    session.apply(wb.Prune(amount=0.1))
    assert session.error == ""


def test_test_data_is_scored_for_the_current_state_and_never_steers(images, open_session):
    class Watched:
        def __init__(self, whole):
            self.whole, self.read = whole, 0

        def __len__(self):
            return len(self.whole)

        def __getitem__(self, index):
            self.read += 1
            inputs, targets = self.whole.batch([index])
            return inputs[0][0], targets[0]

    test = Watched(images.task.split("test"))
    splits = {name: images.task.split(name) for name in ("train", "validation")}
    task = wb.Task(**splits, test=test)
    session = open_session(wb.Subject("watched", images.model, task), wb.Settings(seconds=0.0, runtimes=("eager",)))
    session.apply(wb.Prune(amount=0.5))
    session.preview(wb.Quantize())
    session.sensitivity(wb.Prune(), (0.5,))
    session.apply(wb.FineTune(batch_size=200))
    assert test.read == 0
    found = session.test_score()
    assert (found.split, found.exact, found.total) == ("test", True, 400)
    assert test.read > 0


def test_a_task_without_test_data_has_no_test_score(regression, open_session):
    assert open_session(regression).test_score() is None


def test_layers_and_groups_are_those_of_the_current_model(session):
    session.settings = wb.Settings(seconds=0.0, runtimes=("eager",))
    before = {layer.name: layer.shape for layer in session.layers}
    session.apply(wb.PruneChannels(layers="conv1", amount=0.5))
    after = {layer.name: layer.shape for layer in session.layers}
    assert before["conv1"] == (8, 1, 3, 3)
    assert after["conv1"] == (4, 1, 3, 3)
    assert after["conv2"] == (16, 4, 3, 3)
    assert {len(group.units) for group in session.groups if group.name == "conv1"} == {4}


def test_closing_twice_is_fine(session):
    session.close()
    session.close()


def test_a_step_goes_where_it_began_though_someone_forked_meanwhile(session):
    """What a panel allows: a step is applied on the worker while the history is used by hand."""
    real = session._measure

    def measure_slowly(*arguments):
        session.fork("begun meanwhile")
        return real(*arguments)

    session.measure()
    session._measure = measure_slowly
    session.apply(wb.Prune(amount=0.3))
    assert "begun meanwhile" in dict(session.history.branches)
    assert [step.amount for step in session.recipe] == [0.3]
    assert session.current.nonzero < session.baseline.nonzero


def test_several_steps_are_one_act_and_a_failing_one_leaves_all_as_it_was(session):
    steps = (wb.Prune(layers="conv1", amount=0.5), wb.Prune(layers="fc", amount=0.25))
    found = session.extend(steps)
    assert session.recipe.steps == steps
    assert session.measurements[session.history.at] == found
    before = session.history
    with pytest.raises(wb.WorkbenchError, match="no layer matches"):
        session.extend((wb.Prune(amount=0.1), wb.Prune(layers="nosuch")))
    assert session.history == before


def test_what_is_previewed_is_the_draft(session):
    assert session.draft is None
    session.preview(wb.Prune(amount=0.4))
    session.take_back()
    assert session.draft == wb.Prune(amount=0.4)


def test_nobody_is_told_under_the_lock_when_two_threads_change_the_history(session):
    """What is told may wait for a view, and the view for the lock."""
    session.apply(wb.Prune(amount=0.5))
    told, inside, owned = threading.Event(), threading.Event(), []

    def look(_):
        owned.append(session._history_lock._is_owned())
        told.set()

    def first(history):
        inside.set()
        other.start()
        other.join(0.3)  # it waits for the lock by now
        return history.go(0)

    def second(history):
        assert told.wait(10)  # the first has told, and holds nothing any more
        return history.go(1)

    session.observe(look, ["history"])
    other = threading.Thread(target=session._change, args=(second,))
    session._change(first)
    other.join(10)
    assert not other.is_alive()
    assert owned == [False, False]
    assert session.history.at == 1


def test_a_view_sees_history_and_measurements_together(session):
    seen = []
    session.observe(lambda _: seen.append((len(session.history.nodes), len(session.measurements))), ["measurements"])
    session.observe(lambda _: seen.append((len(session.history.nodes), len(session.measurements))), ["history"])
    session.baseline  # noqa: B018  # measured on the first look
    seen.clear()
    session.apply(wb.Prune(amount=0.5))
    assert seen == [(2, 2), (2, 2)]
