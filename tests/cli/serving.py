"""A running `workbench serve`, and the kernels of its visitors."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

TOLD = re.compile(r"http://127\.0\.0\.1:\d+/\?token=\w+")


@contextmanager
def serving(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Give the server's process and the address that it tells; it is ended afterwards."""
    command = [sys.executable, "-m", "workbench", "serve", *arguments]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        yield server, next(found[0] for line in server.stdout if (found := TOLD.search(line)))
    finally:
        server.terminate()
        server.wait(30)
        server.stdout.close()


def kernels(server: subprocess.Popen[str]) -> list[psutil.Process]:
    """Return the running kernels of a server."""
    return [child for child in psutil.Process(server.pid).children() if "ipykernel_launcher" in child.cmdline()]
