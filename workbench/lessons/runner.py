"""The process in which a learner's code runs: limits first, then cell after cell, each with its time.

It is started by `grading` with a folder of its own as the working directory, reads what to run from standard input as
JSON, and writes one line for each cell to what it finds as standard output: a word that only the two know, then JSON.
It is no prison: code that means harm belongs into a container. It is for what learners do without meaning to: endless
loops, floods of memory, files and text; and it does not believe who changes the judge.
"""

from __future__ import annotations

import builtins
import json
import os
import signal
import sys
from collections.abc import Iterable, Iterator, Mapping
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any

LARGEST_FILE = 64 << 20
SAID = 400
# Between two reminders to a cell whose time is over: a bare `except` takes the first for an error.
AGAIN = 0.1
# What tests are written with, where it is loaded; what these use of the lesson's own modules is found from there.
JUDGES = ("workbench.lessons", "workbench.lessons.telling", "torch", "json", "signal")
# What operators call, which has no name in the code.
OPERATORS = ("__bool__", "__eq__", "__float__", "__getitem__", "__invert__", "__ne__", "__torch_function__")
MISSING = object()


class OutOfTime(BaseException):
    """A cell ran for too long. No `Exception`, so that a learner's `except Exception` does not catch it."""


class Judge:
    """What the tests rest on, held by identity from before a learner's code ran.

    Args:
        tests: Code of the tests, by their keys.
        space: The names that the lesson's setup has made.
    """

    def __init__(self, tests: Mapping[str, CodeType], space: dict[str, Any]) -> None:
        modules = [sys.modules[name] for name in JUDGES if name in sys.modules]
        modules += [value for value in space.values() if isinstance(value, ModuleType)]
        own = {value.__code__ for value in globals().values() if isinstance(value, FunctionType)}
        telling = vars(sys.modules["workbench.lessons.telling"]) if "workbench.lessons.telling" in sys.modules else {}
        own |= {value.__code__ for value in telling.values() if isinstance(value, FunctionType)}
        common = {name for code in own for name in _names(code)} | set(OPERATORS)
        self._held: dict[str, list[tuple[Mapping[str, Any], str, Any]]] = {}
        self._codes: list[tuple[FunctionType, CodeType, Any, Any]] = []
        for key, code in tests.items():
            names = set(_names(code))
            # Of the learner's own names only those that the test takes for Python's or the lesson's.
            shared = {name for name in names if hasattr(builtins, name) or isinstance(space.get(name), ModuleType)}
            held: list[tuple[Mapping[str, Any], str, Any]] = [
                (space, name, space.get(name, MISSING)) for name in (*sorted(shared), "__builtins__")
            ]
            for owner in _owners((builtins, *modules), names | common):
                held += _of(owner, names | common)
            self._held[key] = held
            for function in (value for _, _, value in held if isinstance(value, FunctionType)):
                self._codes.append((function, function.__code__, function.__defaults__, function.__kwdefaults__))

    def changed(self, key: str) -> str:
        """Return the name of what is no longer what it was of that which a test needs; "" if nothing is."""
        # No function of Python's is called here: each might be what was changed.
        for names, name, value in self._held[key]:
            if names.get(name, MISSING) is not value:
                return name
        for function, code, defaults, named in self._codes:
            if (
                function.__code__ is not code
                or function.__defaults__ is not defaults
                or function.__kwdefaults__ is not named
            ):
                return code.co_name
        return ""


def _names(code: CodeType) -> Iterator[str]:
    """Yield the names of variables and attributes that code uses, also in the functions within it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _owners(first: Iterable[ModuleType], names: set[str]) -> Iterator[ModuleType | type]:
    """Yield modules, and the modules and classes that are reached from them by some names."""
    left: list[ModuleType | type] = list(first)
    seen: set[int] = set()
    while left:
        owner = left.pop()
        if id(owner) in seen:
            continue
        seen.add(id(owner))
        yield owner
        if isinstance(owner, ModuleType):
            found = (vars(owner).get(name) for name in names)
            left += [value for value in found if isinstance(value, ModuleType | type)]


def _of(owner: ModuleType | type, names: set[str]) -> Iterator[tuple[Mapping[str, Any], str, Any]]:
    """Yield what an owner has under some names, or that it has nothing there which could hide something else."""
    if isinstance(owner, type):
        for base in owner.__mro__:
            yield from ((vars(base), name, vars(base).get(name, MISSING)) for name in names)
        return
    for name in names:
        # A module may load a part of it later; a name of Python's in it would be another meaning of that.
        if name in vars(owner) or hasattr(builtins, name):
            yield vars(owner), name, vars(owner).get(name, MISSING)


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
        if timed:
            signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN)
        return _run(cell, space)
    except OutOfTime:
        return f"it took more than {seconds:g} s"
    finally:
        if timed:
            signal.setitimer(signal.ITIMER_REAL, 0)
        if sys.gettrace() is _trace:
            sys.settrace(None)


def _run(cell: dict[str, Any], space: dict[str, Any]) -> str:
    """Do what `run` does; while this runs, and only then, `OutOfTime` may come."""
    try:
        exec(compile(cell["source"], f"<{cell['key'] or cell['kind']}>", "exec"), space)  # noqa: S102  # its purpose
    except OutOfTime:
        raise
    except NotImplementedError:
        return "nothing was written yet"
    except AssertionError as error:
        return " ".join(str(error).split()) or f"a test failed in line {_line(error, cell)}"
    except MemoryError:
        return "it needs more memory than there is for it"
    except BaseException as error:  # also SystemExit: the other questions are still to be judged
        return f"{type(error).__name__}: {' '.join(str(error).split())}, in line {_line(error, cell)}"
    return ""


def out_of_time(_: int, frame: FrameType | None) -> None:
    """End the cell that runs, if one does: the timer may also fire just after it."""
    frames = []
    while frame is not None and frame.f_code is not _run.__code__:
        frames.append(frame)
        frame = frame.f_back
    if frame is None:
        return
    # A bare `except` around it catches what is raised here; the first line after that raises it again.
    for one in frames:
        one.f_trace = _trace
    sys.settrace(_trace)
    raise OutOfTime


def _trace(frame: FrameType, event: str, _: Any) -> Any:
    if event == "line":
        raise OutOfTime
    return _trace


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
    work = json.load(sys.stdin)
    # Held by local names alone: what a learner's code can name, it can change.
    secret, cells, dumps, do = work.pop("secret"), work.pop("cells"), json.dumps, run
    out = os.fdopen(os.dup(1), "w")
    sys.path[:0] = work["path"]
    if hasattr(signal, "SIGALRM"):
        signal.signal(signal.SIGALRM, out_of_time)
    limit(work["memory"], work["processor_seconds"])
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123  # a device
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    # A learner's `import __main__` is to find the notebook, and not this module with all that judges.
    sys.modules["__main__"] = notebook = ModuleType("__main__")
    space: dict[str, Any] = vars(notebook)
    space["__builtins__"] = builtins
    judge: Judge | None = None
    tests = {cell["key"]: compile(cell["source"], "<test>", "exec") for cell in cells if cell["kind"] == "test"}
    for cell in cells:
        kind, key = cell["kind"], cell["key"]
        if judge is None and kind != "setup":
            judge = Judge(tests, space)
        changed = judge.changed(key) if judge and kind == "test" else ""
        said = "" if changed else do(cell, space, work["setup_seconds" if kind == "setup" else "seconds"])
        # Also after it: the function that is tested can do it too, when it is called.
        if judge and kind == "test" and (changed := changed or judge.changed(key)):
            said = f"the judge was changed: {changed} has another meaning than the test needs"
        out.write(f"{secret} {dumps({'kind': kind, 'key': key, 'said': said[:SAID]})}\n")
        out.flush()


if __name__ == "__main__":
    main()
