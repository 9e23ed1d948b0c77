"""One net in a process of its own, with limits of time and memory."""

from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection
from typing import Any

from tests.coverage.families import every
from tests.coverage.operations import tried

SECONDS, GIGABYTES = 600, 10


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
    why = f"not done after {SECONDS} s"
    if ours.poll(SECONDS):
        try:
            row: dict[str, Any] = ours.recv()
            process.join()
            return row
        except EOFError:
            process.join()
            why = f"the process ended with {process.exitcode}"
    process.kill()
    return {operation: {"class": "raw", "why": why, "seconds": 0.0} for operation in operations}


def _one(name: str, operations: list[str], answer: Connection) -> None:
    import torch

    _bounded()
    torch.set_num_threads(1)
    answer.send(tried(every()[name], frozenset(operations)))


def _bounded() -> None:
    """Let no net take the machine's memory, where the system can say so."""
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (GIGABYTES << 30, GIGABYTES << 30))
    except (ImportError, ValueError, OSError):
        pass
