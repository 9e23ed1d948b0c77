"""Structure-aware fuzzing of what people get from others: `python -m tests.fuzz.fuzz [KIND ...] [--count N]`.

A seed is a mutant, the same every time. Counted are mutants that ran code, raised anything but a `WorkbenchError`, took
longer than `SECONDS` or more memory than their size justifies, or ended the process.
"""

from __future__ import annotations

import argparse
import json
import queue
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.fuzz import kinds  # noqa: F401  # each of them signs up
from tests.fuzz.kind import KINDS

SECONDS = 10
START = 120  # seconds until the first mutant, and between two


@dataclass
class Found:
    """What came of the mutants of one kind.

    Attributes:
        counts: Of "read", "accepted", and of every problem: "code", "error", "memory", "hang", "crash".
        problems: (seed, kind, what was done, what happened).
        grown: The most memory that reading one took, MiB.
    """

    counts: Counter[str] = field(default_factory=Counter)
    problems: list[tuple[int, str, str, Any]] = field(default_factory=list)
    grown: int = 0


def fuzz(kind: str, first: int, count: int) -> Found:
    """Read the mutants from seed `first` on."""
    found = Found()
    begin, last = first, first + count
    while begin < last:
        begin = _some(kind, begin, last, found)
    return found


def _some(kind: str, first: int, last: int, found: Found) -> int:
    """Read mutants in one process until it ends, and return the seed to go on with."""
    command = [sys.executable, "-m", "tests.fuzz.worker", kind, str(first), str(last)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        said: queue.Queue[str] = queue.Queue()
        errors: list[str] = []
        listening = threading.Thread(target=_forward, args=(process, said), daemon=True)
        complaints = threading.Thread(target=lambda: errors.extend(process.stderr or ()), daemon=True)
        listening.start()
        complaints.start()
        seed, done, wait, inside = first - 1, "", START, False
        while True:
            try:
                line = said.get(timeout=wait)
            except queue.Empty:
                process.kill()
                found.counts["hang"] += 1
                found.problems.append((seed, "hang", done, f"no end in {wait} s"))
                return seed + 1
            if not line:
                break
            facts = json.loads(line)
            if "done" in facts:
                seed, done, inside = facts["seed"], facts["done"], True
            elif "ended" in facts:
                inside = False
                found.counts["read"] += 1
                found.counts["accepted"] += facts["accepted"]
                found.grown = max(found.grown, facts["grown"])
            else:
                found.counts[facts["kind"]] += 1
                found.problems.append((seed, facts["kind"], done, facts["what"]))
            wait = SECONDS if inside else START  # making the next one, and the end of the process, are no reading
        process.wait()
        complaints.join(5)
        if inside or process.returncode:
            found.counts["crash"] += 1
            found.problems.append((seed, "crash", done, "".join(errors)[-800:]))
            if seed < first:
                raise RuntimeError("".join(errors)[-3000:])
    return seed + 1


def _forward(process: subprocess.Popen[str], said: queue.Queue[str]) -> None:
    for line in process.stdout or ():
        said.put(line)
    said.put("")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("kinds", nargs="*", default=[])
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--first", type=int, default=0)
    given = parser.parse_args()
    bad = 0
    for kind in given.kinds or sorted(KINDS):
        found = fuzz(kind, given.first, given.count)
        for seed, what, done, happened in found.problems:
            print(f"{kind} {seed} {what}: {done}\n    {happened}")
        print(f"{kind}: {dict(found.counts)}, at most {found.grown} MiB for one")
        bad += len(found.problems)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
