"""Turns: one at a time, in order, again for the one that has it, and never lost."""

from __future__ import annotations

import contextlib
import threading
import time

from workbench.jobs.turn import Turn


class InterruptedWaitError(Exception):
    """What a keyboard interrupt is to a waiting thread."""


def test_one_at_a_time_and_in_the_order_of_asking() -> None:
    turn, inside, order = Turn(), [], []

    def work(number: int) -> None:
        with turn:
            inside.append(number)
            assert len(inside) == 1
            order.append(number)
            inside.remove(number)

    with turn:
        threads = []
        for number in range(8):
            threads.append(threading.Thread(target=work, args=(number,)))
            threads[-1].start()
            while len(turn._waiting) <= number:
                time.sleep(0.001)
    for thread in threads:
        thread.join(10)
    assert order == list(range(8))


def test_the_thread_that_has_it_may_take_it_again() -> None:
    turn = Turn()
    with turn, turn:
        pass
    done = threading.Event()
    threading.Thread(target=lambda: (turn.__enter__(), done.set(), turn.__exit__())).start()
    assert done.wait(10)


def test_an_interrupted_wait_stops_nobody() -> None:
    turn = Turn()

    def interrupt() -> None:
        raise InterruptedWaitError

    with turn:
        waiting = threading.Thread(target=_enter_interrupted, args=(turn, interrupt))
        waiting.start()
        waiting.join(10)
    done = threading.Event()
    threading.Thread(target=lambda: (turn.__enter__(), done.set(), turn.__exit__())).start()
    assert done.wait(10)


def _enter_interrupted(turn: Turn, interrupt) -> None:
    real = turn._condition.wait
    turn._condition.wait = interrupt
    with contextlib.suppress(InterruptedWaitError):
        turn.__enter__()
    turn._condition.wait = real
