"""Kills at random and at chosen places: `python -m tests.fuzz.kills [--count N]`.

A process scans, does a step, keeps its session and exports over an earlier export, and is killed: after a random time,
or just before or after one of its renames. What was there before must be there or be replaced by something whole, and
the next start must leave nothing beside it.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import torch

import workbench as wb
from tests.subjects import vectors_subject
from workbench.export.folder import check_folder

QUICK = wb.Settings(seconds=0.0, runtimes=("eager",))
RENAMES = 12  # about as many as a job has


def job(subject: wb.Subject, home: Path, number: int) -> None:
    """Change something everywhere that something is kept."""
    session = wb.Session(subject, QUICK, threaded=False, autosave=home / "kept")
    session.sensitivity(wb.Prune(), (0.1 + number % 800 / 1000,), tolerance=0.1)
    session.apply(wb.Prune(amount=0.1 + number % 800 / 1000))
    session.export(home / "out", ("safetensors",))


def dying(rng: random.Random) -> None:
    """Let this process end just before or after one of its renames."""
    wanted, after, seen = rng.randrange(1, RENAMES + 1), rng.random() < 0.5, 0

    def wrapped(real: Callable[..., Path]) -> Callable[..., Path]:
        def rename(self: Path, target: Path) -> Path:
            nonlocal seen
            seen += 1
            if seen == wanted and not after:
                os._exit(9)
            made = real(self, target)
            if seen == wanted:
                os._exit(9)
            return made

        return rename

    Path.rename, Path.replace = wrapped(Path.rename), wrapped(Path.replace)  # type: ignore[method-assign]


def forked(work: Callable[[], object], seconds: float | None = None) -> int:
    """Do something in a process of its own, kill that after a time, and return how it ended."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def lost(home: Path, subject: wb.Subject, before: int) -> str:
    """Return what is not as it has to be after a kill and the next start, "" if all is."""
    session = wb.Session(subject, QUICK, threaded=False, autosave=home / "kept")
    whole = [path for path in (home / "kept").rglob("session-*.json") if path != session._autosave.path]
    for path in whole:
        session.restore(path)
    if len(whole) < before:
        return f"{before - len(whole)} session files are gone"
    session.export(home / "out", ("safetensors",))
    wb.load_model(home / "out")
    left = [path for path in home.rglob("*") if path.name.endswith(".part") or path.name.startswith(".")]
    return f"left over: {left}" if left else ""


def restored(home: Path) -> str:
    """Return what is wrong with the earlier export before anything is written anew, "" if nothing is."""
    from workbench.checkpoint.folders import half_beside

    with half_beside(home / "out"):
        check_folder(home / "out")
        wb.load_model(home / "out")
    return ""


def one(seed: int, subject: wb.Subject, home: Path, duration: float) -> str:
    rng = random.Random(seed)  # noqa: S311  # the same kills every time
    before = len(list((home / "kept").rglob("session-*.json")))
    chosen = seed % 2 == 0

    def work() -> None:
        if chosen:
            dying(rng)
        job(subject, home, seed)

    forked(work, None if chosen else rng.random() * duration)
    said = tempfile.NamedTemporaryFile("w+", delete=False)  # noqa: SIM115  # written by the child

    def look() -> None:
        Path(said.name).write_text(restored(home) or lost(home, subject, before))

    code = forked(look)
    found = Path(said.name).read_text()
    Path(said.name).unlink()
    return found or (f"the next start ended with {code}" if code else "")


def kill(count: int) -> list[tuple[int, str]]:
    """Return (seed, what was lost) of the kills at which something was."""
    torch.set_num_threads(1)
    subject = vectors_subject()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        job(subject, home, 0)
        start = time.monotonic()
        forked(lambda: job(subject, home, 1))
        duration = time.monotonic() - start
        return [(seed, found) for seed in range(count) if (found := one(seed, subject, home, duration))]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--count", type=int, default=200)
    count = parser.parse_args().count
    problems = kill(count)
    for seed, found in problems:
        print(f"kill {seed}: {found}")
    print(f"{count} kills: {len(problems)} lost or left something")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
