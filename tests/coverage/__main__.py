"""Tries every operation on every net, each net in a process of its own: `make coverage`.

Outcomes are kept as lines of JSON under `out/coverage`, so that a run goes on where it was stopped; `--again` tries
what was tried anew.
"""

from __future__ import annotations

import argparse
import json
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from tests.coverage.apart import tried_apart
from tests.coverage.families import every
from tests.coverage.operations import OPERATIONS
from tests.coverage.table import write

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "out" / "coverage" / "nets.jsonl"
ALL = (*OPERATIONS, "beside")


def main() -> int:
    """Run the nets that are asked for, and write the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.coverage", description=__doc__)
    parser.add_argument("names", nargs="*", default=["*"], help="globs of family:name")
    parser.add_argument("--again", action="store_true", help="also what was tried")
    parser.add_argument("--only", default=",".join(ALL), help="operations, with commas between them")
    parser.add_argument("--show", action="store_true", help="print all that came of a net")
    parser.add_argument("--table", action="store_true", help="only write the table of what was tried")
    asked = parser.parse_args()
    rows, names = kept(), list(every())
    for name in names:
        if asked.table or not any(fnmatch(name, glob) for glob in asked.names):
            continue
        before = rows.get(name, {})
        wanted = [op for op in asked.only.split(",") if asked.again or op not in before]
        if not wanted:
            continue
        row = tried_apart(name, wanted)
        print(name, *(f"{op}={found['class']}" for op, found in row.items()), flush=True)
        if asked.show:
            print(json.dumps(row, indent=1), flush=True)
        rows[name] = {**before, **row}
        KEPT.parent.mkdir(parents=True, exist_ok=True)
        with KEPT.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"net": name, "rows": rows[name]}) + "\n")
    write(ROOT / "docs" / "coverage.md", names, rows)
    bad = [
        name for name in names for op in OPERATIONS if rows.get(name, {}).get(op, {}).get("class") in ("raw", "wrong")
    ]
    return int(bool(bad))


def kept() -> dict[str, dict[str, Any]]:
    """Return the latest outcome of each net."""
    if not KEPT.exists():
        return {}
    lines = (json.loads(line) for line in KEPT.read_text(encoding="utf-8").splitlines())
    return {line["net"]: line["rows"] for line in lines}


if __name__ == "__main__":
    sys.exit(main())
