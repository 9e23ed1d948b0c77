"""The process in which a learner's code runs: limits first, then cell after cell, each with its time.

It is started by `grading` with a folder of its own as the working directory, reads what to run from standard input as
JSON, and writes one line of JSON for each cell to the file that it is told. It is no prison: code that
means harm belongs into a container. It is for what learners do without meaning to: endless loops, floods of memory,
files and text.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

LARGEST_FILE = 64 << 20
SAID = 400


class OutOfTime(BaseException):
    """A cell ran for too long. No `Exception`, so that a learner's `except Exception` does not catch it."""


def limit(memory: int, seconds: int) -> None:
    """Keep this process within its memory [bytes] and processor time [s], where the system knows limits."""
    try:
        import resource
    except ImportError:  # Windows; the time is then kept by whoever started this
        return
    limits = {resource.RLIMIT_AS: memory, resource.RLIMIT_CPU: seconds, resource.RLIMIT_FSIZE: LARGEST_FILE}
    for what, most in limits.items():
        _, hard = resource.getrlimit(what)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def run(cell: dict[str, Any], space: dict[str, Any], seconds: float) -> str:
    """Run a cell, and return what is wrong with it in one line, "" if nothing is."""
    timed = hasattr(signal, "setitimer")
    try:
        code = compile(cell["source"], f"<{cell['key'] or cell['kind']}>", "exec")
        if timed:
            signal.setitimer(signal.ITIMER_REAL, seconds)
        exec(code, space)  # noqa: S102  # this process is there for it
    except OutOfTime:
        return f"it took more than {seconds:g} s"
    except NotImplementedError:
        return "nothing was written yet"
    except AssertionError as error:
        return " ".join(str(error).split()) or f"a test failed in line {_line(error, cell)}"
    except MemoryError:
        return "it needs more memory than there is for it"
    except BaseException as error:  # also SystemExit: the other questions are still to be judged
        return f"{type(error).__name__}: {' '.join(str(error).split())}, in line {_line(error, cell)}"
    finally:
        if timed:
            signal.setitimer(signal.ITIMER_REAL, 0)
    return ""


def _line(error: BaseException, cell: dict[str, Any]) -> int:
    """Return the last line of the cell that was reached; 0 where it is not known."""
    line = getattr(error, "lineno", None) or 0
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == f"<{cell['key'] or cell['kind']}>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def main() -> None:
    """Run what standard input says."""
    told = sys.argv[1]
    work = json.load(sys.stdin)
    sys.path[:0] = work["path"]
    if hasattr(signal, "SIGALRM"):

        def out_of_time(_: int, __: FrameType | None) -> None:
            raise OutOfTime

        signal.signal(signal.SIGALRM, out_of_time)
    limit(work["memory"], work["processor_seconds"])
    with open(os.devnull, "w") as nowhere, Path(told).open("w") as out:  # noqa: PTH123  # a device
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
        space: dict[str, Any] = {"__name__": "__main__"}
        for cell in work["cells"]:
            said = run(cell, space, work["seconds"] if cell["kind"] != "setup" else work["setup_seconds"])
            out.write(json.dumps({"kind": cell["kind"], "key": cell["key"], "said": said[:SAID]}) + "\n")
            out.flush()


if __name__ == "__main__":
    main()
