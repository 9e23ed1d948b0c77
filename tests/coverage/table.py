"""The page of the documentation: what came of every operation on every net, and torch-pruning beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Rows = Mapping[str, Mapping[str, Mapping[str, Any]]]
COLUMNS = ("inspect", "channels", "heads", "blocks", "prune", "8 bits", "4 bits", "activations", "export")
CLASSES = ("OK", "clear", "raw", "wrong")
NOT_RUN = "not run"
SLACK = 0.005  # in which two shares of multiply-accumulates count as the same: half of a percentage point

HEAD = """# Coverage

What each method does to many kinds of nets, all small, with random weights that are the same each time. `make coverage`
repeats it; it goes on where it was stopped.

- **OK**: it worked, and what came out was checked. A smaller net gives what the masked one gives, in double
  precision, to a part in a thousand million; a norm over channels then has the statistics of those that stay. Weights
  lie on their grid, within half a step of where they were. Exported folders (safetensors, pt2, ONNX; half of the
  channels gone, 8 bits) were opened in a fresh process and gave the same predictions.
- **clear**: an error in words that says why not. **raw**: any other error. **wrong**: a result that is not what it must
  be. **–**: the net has none of what the method is about.
"""


def write(path: Path, names: Sequence[str], rows: Rows) -> None:
    """Write the page of the nets that are known, tried or not."""
    parts = [
        HEAD,
        _totals(names, rows),
        _beside_summary(names, rows),
        _matrix(names, rows),
        _beside(names, rows),
        _words(names, rows),
    ]
    path.write_text("\n".join(part.strip() + "\n" for part in parts if part.strip()), encoding="utf-8")


def _class(rows: Rows, name: str, operation: str) -> str:
    found = rows.get(name, {}).get(operation, {}).get("class", NOT_RUN)
    return "–" if found == "none" else str(found)


def _totals(names: Sequence[str], rows: Rows) -> str:
    tried = [name for name in names if rows.get(name)]
    lines = [f"## {len(tried)} nets", "", f"| method | {' | '.join(CLASSES)} | – | {NOT_RUN} |", f"|---{'|---:' * 6}|"]
    for operation in COLUMNS:
        counted = Counter(_class(rows, name, operation) for name in tried)
        lines.append(f"| {operation} | {' | '.join(str(counted[kind]) for kind in (*CLASSES, '–', NOT_RUN))} |")
    return "\n".join(lines)


def _pairs(names: Sequence[str], rows: Rows) -> list[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    """Return nets that torch-pruning cuts, with our best outcome and its."""
    pairs = []
    for name in names:
        beside = rows.get(name, {}).get("beside", {})
        if beside.get("class") == "OK" and beside.get("reach", 0.0) > 0.0:
            pairs.append((name, _ours(rows[name]), beside))
    return pairs


def _ours(found: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    heads = found.get("heads", {})
    return heads if heads.get("class") == "OK" else found.get("channels", {})


def _beside_summary(names: Sequence[str], rows: Rows) -> str:
    pairs = _pairs(names, rows)
    tried = sum("beside" in rows.get(name, {}) for name in names)
    far = sum(ours.get("reach", 0.0) >= theirs["reach"] - SLACK for _, ours, theirs in pairs)
    less = sum(ours.get("left", 1.0) <= theirs["left"] + SLACK for _, ours, theirs in pairs)
    return (
        "\ntorch-pruning 1.6.1, told which layers give the answers and how many heads there are, and with the "
        f"widths that modules remember set by hand, cuts {len(pairs)} of {tried} nets that it was tried on. On the "
        "others it stops with an error, leaves a net that does not run, cuts nothing, or was not done after the "
        f"seconds that it was given. Of these {len(pairs)}, the reach here is at least as far on {far}, and no more "
        f"multiply-accumulates are left on {less}."
    )


def _matrix(names: Sequence[str], rows: Rows) -> str:
    lines = ["## Every net", "", f"| net | {' | '.join(COLUMNS)} |", f"|---{'|---' * len(COLUMNS)}|"]
    lines += [
        f"| {name} | {' | '.join(_class(rows, name, op) for op in COLUMNS)} |" for name in names if rows.get(name)
    ]
    missing = [name for name in names if not rows.get(name)]
    lines += ["", f"Not run yet: {', '.join(missing)}."] if missing else []
    return "\n".join(lines)


def _percent(row: Mapping[str, Any], key: str) -> str:
    return f"{row[key]:.1%}" if row.get("class") == "OK" and key in row else "–"


def _beside(names: Sequence[str], rows: Rows) -> str:
    lines = [
        "## Beside torch-pruning", "",
        "Half of the channels of every group that can be cut go, and where there are heads, half of these too. *Left* "
        "is the part of the multiply-accumulates that is left, *reach* the part that was in weights that lost "
        "something.", "",
        "| net | left, channels | reach | left, heads too | reach | left, torch-pruning | reach |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]  # fmt: skip
    for name in filter(rows.get, names):
        found = rows.get(name, {})
        cells = [
            _percent(found.get(op, {}), key) for op in ("channels", "heads", "beside") for key in ("left", "reach")
        ]
        if found.get("beside", {}).get("class") not in (None, "OK"):
            cells[4:] = ["fails", "–"]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _words(names: Sequence[str], rows: Rows) -> str:
    """Return what was said where something did not work."""
    lines = ["## What was said", ""]
    for name in names:
        for operation in COLUMNS:
            row = rows.get(name, {}).get(operation, {})
            if row.get("class") in CLASSES[1:]:
                words = " ".join(str(row.get("why", "")).split())
                words = words if len(words) < 300 else f"{words[:297]}..."
                lines.append(
                    f"- {name}, {operation}, {row['class']}: {words.replace('<', '&lt;').replace('*', '&#42;')}"
                )
    return "\n".join(lines) if len(lines) > 2 else ""
