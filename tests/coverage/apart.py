"""One net in a process of its own, with limits of time and memory."""

from __future__ import annotations

import multiprocessing
import signal
import time
from multiprocessing.connection import Connection
from typing import Any

from tests.coverage.families import every
from tests.coverage.operations import tried

# Of processor time, which does not depend on what else the machine does; on the clock it may take as many times longer.
SECONDS, LONGER, GIGABYTES = 600, 6, 10


def tried_apart(name: str, operations: list[str]) -> dict[str, Any]:
    """Return what came of operations on a net, also where it took the process or the time."""
    # A server that has imported the libraries is forked for each net; where there is no fork, a process is started.
    ways = multiprocessing.get_all_start_methods()
    context: Any = multiprocessing.get_context("forkserver" if "forkserver" in ways else "spawn")
    if "forkserver" in ways:
        context.set_forkserver_preload(["tests.coverage.families", "tests.coverage.operations", "tests.coverage.warm"])
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_one, args=(name, operations, theirs))
    process.start()
    theirs.close()
    rows: dict[str, Any] = {}
    why, end = f"not done after {SECONDS} s", time.monotonic() + LONGER * SECONDS
    try:
        while len(rows) < len(operations) and ours.poll(max(end - time.monotonic(), 0.0)):
            operation, row = ours.recv()
            rows[operation] = row
    except EOFError:
        process.join()
        if process.exitcode != -getattr(signal, "SIGXCPU", 0):
            why = f"the process ended with {process.exitcode}"
    process.kill()
    process.join()
    return {operation: rows.get(operation, {"class": "raw", "why": why, "seconds": 0.0}) for operation in operations}


def _one(name: str, operations: list[str], answer: Connection) -> None:
    import torch

    _bounded()
    torch.set_num_threads(1)
    for outcome in tried(every()[name], operations):
        answer.send(outcome)


def _bounded() -> None:
    """Let no net take the machine's memory or time, where the system can say so."""
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (GIGABYTES << 30, GIGABYTES << 30))
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, resource.getrlimit(resource.RLIMIT_CPU)[1]))
    except (ImportError, ValueError, OSError):
        pass
