"""A running `workbench serve`, and the kernels of its visitors."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

TOLD = re.compile(r"http://127\.0\.0\.1:\d+/\?token=\w+")


# What a shell does to a job in the background: it and all that it starts ignore SIGINT.
IN_BACKGROUND = """import runpy, signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
runpy.run_module("workbench", run_name="__main__", alter_sys=True)"""


@contextmanager
def serving(*arguments: str, in_background: bool = False) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Give the server's process and the address that it tells; it and its kernels are ended afterwards."""
    program = ["-c", IN_BACKGROUND] if in_background else ["-m", "workbench"]
    server = subprocess.Popen([sys.executable, *program, "serve", *arguments], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        yield server, next(found[0] for line in server.stdout if (found := TOLD.search(line)))
    finally:
        _end(server)
        server.stdout.close()


def _end(server: subprocess.Popen[str], seconds: float = 30) -> None:
    """End a server, by force if it does not hear: a test that fails must not leave anything running."""
    if server.poll() is not None:
        return
    started = psutil.Process(server.pid).children(recursive=True)
    server.terminate()
    try:
        server.wait(seconds)
    finally:
        server.kill()
        for process in started:
            with suppress(psutil.NoSuchProcess):
                process.kill()


def kernels(server: subprocess.Popen[str]) -> list[psutil.Process]:
    """Return the running kernels of a server."""
    return [child for child in psutil.Process(server.pid).children() if "ipykernel_launcher" in child.cmdline()]
