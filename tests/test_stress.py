"""Hundreds of edits, undos and cancels on worker threads end where the same sequence in one thread ends."""

import contextlib
import gc
import random
import threading
import weakref

import pytest
import torch

from workbench.errors import Cancelled, WorkbenchError
from workbench.session.session import Session, Settings
from workbench.steps import Prune, PruneChannels, Quantize

EDITS = 500
QUICK = Settings(tolerance=0.05, seconds=0.0, runtimes=("eager",))


def script(count):
    """Return (number, action, step); most are moves of a slider, as with a hand."""
    chance = random.Random(7)  # noqa: S311  # a repeatable sequence is wanted

    def step():
        layers = chance.choice(["0", "3", "5", "*"])
        kind = chance.choice([Prune, Prune, Quantize, PruneChannels])
        if kind is Quantize:
            return Quantize(layers=layers, bits=chance.randint(2, 8))
        return kind(layers=layers, amount=chance.choice([0.1, 0.2, 0.4]))

    actions = ["preview", "take back", "apply", "undo", "redo", "fork", "reset", "scan and cancel", "preview and undo"]
    weights = [60, 8, 7, 9, 5, 2, 1, 2, 6]
    return [(number, chance.choices(actions, weights)[0], step()) for number in range(count)]


def play(session, moves):
    """Do the moves; what changes the history goes through the worker and is waited for, previews are not."""

    def work(title, function, *args):
        # Nothing to undo, or nothing left to cut, is the same in both sessions.
        with contextlib.suppress(WorkbenchError):
            session.start(title, lambda progress: function(*args)).result(timeout=60)

    for number, action, step in moves:
        if action.startswith("preview"):
            session.preview(step)
        if action == "take back":
            session.take_back()
        elif action == "apply":
            work("apply", session.apply, step)
        elif action.endswith("undo"):
            work("undo", session.undo)
        elif action == "redo":
            work("redo", session.redo)
        elif action == "fork":
            work("fork", session.fork, f"branch {number}")
        elif action == "reset":
            work("reset", session.reset)
        elif action == "scan and cancel":
            running = session.start("scan", session.sensitivity, Prune(), (0.5,))
            session.cancel()
            with contextlib.suppress(Cancelled):
                running.result(timeout=60)


def facts_of(session):
    state = {name: value.clone() for name, value in session.state.model.state_dict().items()}
    scores = {number: found.score for number, found in session.measurements.items()}
    return session.history.facts(), state, scores


@pytest.mark.slow
def test_hundreds_of_edits_on_threads_end_like_the_same_in_one(vectors):
    moves, threads = script(EDITS), threading.active_count()
    ends, gone = [], []
    for threaded in (True, False):
        session = Session(vectors, QUICK, threaded=threaded, autosave=None)
        play(session, moves if threaded else [move for move in moves if move[1] != "preview"])
        ends.append(facts_of(session))
        gone.append(weakref.ref(session))
        gone.append(weakref.ref(session._evaluator("validation")))
        session.close()
        del session
    (history, state, scores), (same_history, same_state, same_scores) = ends
    assert history == same_history
    assert len(history["nodes"]) > 20
    assert state.keys() == same_state.keys()
    assert all(torch.equal(state[name], same_state[name]) for name in state)
    assert scores == same_scores
    assert threading.active_count() == threads
    gc.collect()
    assert [reference() for reference in gone] == [None] * 4
