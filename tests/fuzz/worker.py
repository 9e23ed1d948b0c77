"""Reads mutants one by one, and tells of each that did harm: `python -m tests.fuzz.worker KIND FIRST LAST`.

A line of JSON on stdout for each mutant when it begins and for each problem; who started this watches the clock, and
goes on with the next one where the process dies.
"""

from __future__ import annotations

import gc
import json
import os
import random
import resource
import shutil
import sys
import tempfile
import traceback
import warnings
from pathlib import Path
from typing import Any

import torch

from tests.fuzz import kinds  # noqa: F401  # each of them signs up
from tests.fuzz.kind import KINDS, Kind
from tests.fuzz.watch import watched
from workbench.errors import WorkbenchError

MIB = 1 << 20
MOST_MEMORY = 320 * MIB  # that reading one input may take


def say(**facts: Any) -> None:
    print(json.dumps(facts), flush=True)


def one(kind: Kind, seed: int, home: Path) -> None:
    """Read one mutant and say what it did."""
    place = home / "mutant"
    try:
        done = kind.mutant(random.Random(f"{kind.name} {seed}"), place)  # noqa: S311  # the same mutants every time
    except (ArithmeticError, LookupError, RecursionError, TypeError, ValueError, AttributeError) as error:
        done = f"half of a change ({error})"  # the second change of one met what the first had left
    say(seed=seed, done=done)
    before = peak()
    read, raised, grown = False, None, 0
    with watched() as happened:
        try:
            made = kind.read(place)
            read, grown = True, peak() - before
            kind.use(made)
        except Exception as error:
            raised, grown = error, grown or peak() - before
    problem = ""
    if raised is not None and (read or not isinstance(raised, WorkbenchError)):
        problem = f"{'in use' if read else 'reading'}: {''.join(traceback.format_exception(raised))[-1500:]}"
    elif len(str(raised).splitlines()) > 1:
        problem = f"an error of several lines: {raised!r:.300}"
    happened = [what for what in happened if not what.startswith(kind.allowed)]
    if happened:
        say(seed=seed, kind="code", what=happened[:3])
    if problem:
        say(seed=seed, kind="error", what=problem)
    if grown > MOST_MEMORY:
        say(seed=seed, kind="memory", what=f"{grown // MIB} MiB")
    say(seed=seed, ended=True, accepted=read, grown=grown // MIB)
    for path in home.glob("mutant*"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main(name: str, first: int, last: int) -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    kind = KINDS[name]()
    home = Path(tempfile.mkdtemp(prefix="fuzz-"))
    try:
        (home / "good").mkdir()
        kind.prepare(home / "good")
        gc.collect()
        for seed in range(first, last):
            one(kind, seed, home)
    finally:
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
