"""A soak: random events on a session and its panel, with worker threads: `python -m tests.fuzz.soak [--count N]`.

Events are what people do: sliders, steps, undo, other states, branches, selections, cancelling, scans. At the end what
the session says of its state must equal a fresh computation, memory must not have grown with the events, and no thread
may be left. Memory is what the process has resident after a garbage collection, by /proc/self/statm: after half of the
events, when caches are full, and after all.
"""

from __future__ import annotations

import argparse
import faulthandler
import gc
import random
import resource
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

import torch

import workbench as wb
from tests.subjects import vectors_subject
from widgets.panel import Panel
from workbench.errors import WorkbenchError
from workbench.steps.history import History

QUICK = wb.Settings(seconds=0.0, runtimes=("eager",))
STEPS: tuple[Callable[[float], wb.Step], ...] = (
    lambda amount: wb.Prune(amount=round(amount, 1)),
    lambda amount: wb.Quantize(bits=2 + round(amount * 6)),
    lambda amount: wb.PruneChannels(amount=round(amount / 2, 1)),
)
MIB = 1 << 20
STUCK = 300  # seconds after which an event is one that never ends
GROWN = 64  # MiB that the second half of the events may add: caches that are bounded, and the allocator's pieces


def event(rng: random.Random, session: wb.Session, panel: Panel, waiting: list[Future[Any]]) -> None:
    """Do one thing; what cannot be done at this moment is refused, and that is all right."""
    how, step = rng.randrange(12), rng.choice(STEPS)(rng.random())
    numbers = range(len(session.history.nodes))
    if how < 4:
        session.preview(step)
    elif how == 4:
        waiting.append(session.start("step", session.apply, step))
    elif how == 5:
        session.undo()
    elif how == 6:
        session.redo()
    elif how == 7:
        waiting.append(session.start("go", session.go, rng.choice(numbers)))
    elif how == 8:
        session.selection = tuple(layer.name for layer in session.subject_layers if rng.random() < 0.5)
    elif how == 9:
        session.take_back()
    elif how == 10 and rng.random() < 0.2:
        session.cancel()
    else:
        panel.tools.undo.click() if rng.random() < 0.5 else session.reset()


def settle(session: wb.Session, waiting: list[Future[Any]]) -> None:
    for future in waiting:
        with suppress(WorkbenchError):
            future.result(timeout=120)
    waiting.clear()


def soak(count: int, seed: int = 0) -> list[str]:
    """Return what is wrong after so many events."""
    rng = random.Random(seed)  # noqa: S311  # the same events every time
    before = {thread.ident for thread in threading.enumerate()}
    session = wb.Session(vectors_subject(), QUICK, threaded=True, autosave=None)
    panel, problems, waiting = Panel(session), list[str](), list[Future[Any]]()
    halfway = 0
    for number in range(count):
        faulthandler.dump_traceback_later(STUCK, exit=True)
        with suppress(WorkbenchError):
            event(rng, session, panel, waiting)
        if len(waiting) > 8:
            settle(session, waiting)
        if "Traceback" in session.error:
            problems.append(f"event {number}: {session.error[-400:]}")
            session.error = ""
        if len(session.history.nodes) > 60:  # a history as long as people have
            settle(session, waiting)
            known = {0: session.measurements[0]} if 0 in session.measurements else {}
            session._change(lambda _: History(), measurements=known)  # both at once, as a restored session comes
        if number == count // 2:
            gc.collect()
            halfway = memory()
    settle(session, waiting)
    session.take_back()
    gc.collect()
    grown = (memory() - halfway) // MIB
    print(f"resident memory: {halfway // MIB} MiB after half of the events, {memory() // MIB} MiB after all")
    if grown > GROWN:
        problems.append(f"memory grew by {grown} MiB in the second half")
    said = session.measure()
    fresh = wb.Session(vectors_subject(), QUICK, threaded=False, autosave=None)
    truth = fresh.replay(session.recipe) if session.recipe.steps else fresh.baseline
    if (said.score, said.bytes, said.nonzero, said.macs) != (truth.score, truth.bytes, truth.nonzero, truth.macs):
        problems.append(f"the session says {said.score}, a fresh one {truth.score}")
    panel.close()
    for one in (session, fresh):
        one.close()
    time.sleep(0.5)
    faulthandler.cancel_dump_traceback_later()
    left = [thread.name for thread in threading.enumerate() if thread.ident not in before and thread.is_alive()]
    return problems + ([f"threads left: {left}"] if left else [])


def memory() -> int:
    """Return the bytes that this process has in memory now."""
    with open("/proc/self/statm") as file:  # noqa: PTH123  # no file of a disk
        return int(file.read().split()[1]) * resource.getpagesize()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--count", type=int, default=10_000)
    torch.set_num_threads(1)
    count = parser.parse_args().count
    start = time.monotonic()
    problems = soak(count)
    print("\n".join(problems[:10]))
    print(f"{count} events in {time.monotonic() - start:.0f} s: {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
