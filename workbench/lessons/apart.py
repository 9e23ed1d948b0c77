"""A process for what learners hand in: an own folder, none of our environment, and an end to all that it started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil


def run_script(script: Path, work: bytes, seconds: float) -> tuple[list[str], str]:
    """Run one of our scripts in an empty folder; return the lines that it wrote, and what ended it ("": nothing did).

    Args:
        script: What is run.
        work: Its standard input.
        seconds: After so many it is ended.
    """
    with (
        tempfile.TemporaryDirectory(prefix="workbench-grade-", ignore_cleanup_errors=True) as home,
        tempfile.TemporaryFile() as told,  # it has no name under which a learner's code would find it
    ):
        environment = {
            **{name: os.environ[name] for name in ("PATH", "LANG", "SYSTEMROOT") if name in os.environ},
            "HOME": home, "TMPDIR": home, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1",
        }  # fmt: skip
        process = subprocess.Popen(  # noqa: S603  # our own module
            [sys.executable, "-I", str(script)],
            stdin=subprocess.PIPE, stdout=told, stderr=subprocess.DEVNULL, cwd=home, env=environment,
            start_new_session=True,
        )  # fmt: skip
        try:
            process.communicate(work, timeout=seconds)
            code = process.returncode
            ended = "its limits ended the process" if code < 0 else f"the process ended with {code}" if code else ""
        except subprocess.TimeoutExpired:
            ended = "it took too long, and did not let itself be stopped"
        finally:
            _end(process)
        told.seek(0)
        return told.read().decode(errors="replace").split("\n"), ended


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and what it started, also where it has ended itself and left that behind."""
    try:
        family = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        family = []
    process.kill()
    if hasattr(os, "killpg"):  # it has a session of its own; the group outlives its leader
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    for one in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    process.wait()
