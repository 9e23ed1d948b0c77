"""What is done to every job alike: its rows are built, scored once, exported, run elsewhere, and timed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

import workbench as wb
from tests.benchmarks.real.job import FLOAT, Job
from workbench import formatting
from workbench.measure import Latency, compare
from workbench.measure.runtimes.onnx import open_graph
from workbench.task.batch import Inputs, Tree, count, join, judged, outputs_of

OUTSIDE = Path(__file__).with_name("outside.py")
ROOT = Path(__file__).parents[3]
# Integer kernels round halves otherwise than the simulation, which turns a prediction in some hundreds.
SAME_INTEGERS, SAME_FLOATS = 0.01, 0.002


def run_row(job: Job, subject: wb.Subject, folder: Path, name: str) -> dict[str, Any]:
    """Build a row, score it on the test split once, export it, and keep what was found."""
    session = wb.Session(subject, wb.Settings(seconds=0.2), threaded=False, autosave=None)
    start = time.perf_counter()
    for step in job.rows[name]:
        session.apply(step)
    seconds = time.perf_counter() - start
    measured, score = session.current, session.test_score()
    assert score is not None
    inputs, targets = whole_test(subject)
    outputs = run_all(session, inputs)
    assert abs(job.judge(outputs, targets) - score.value) <= job.tolerance, "another library gives another score"
    start = time.perf_counter()
    session.export(folder / name, ("safetensors", "onnx"))
    exporting = time.perf_counter() - start
    facts = {
        "what": name, "recipe": session.recipe.code(), "seconds": round(seconds, 1), "exporting": round(exporting, 1),
        "bytes": measured.bytes.total, "params": measured.params, "nonzero": measured.nonzero,
        "validation": measured.score.value, "test": score.value, "change": score.change,
        "low": score.population_low, "high": score.population_high, "judged": job.judge(outputs, targets),
        "others": {key: figure(outputs, targets) for key, figure in job.others.items()},
        "fresh": {kind: fresh_score(session, folder / name, kind, inputs, targets) for kind in ("onnx", "folder")},
        "notes": list(measured.notes), "unavailable": dict(measured.unavailable),
        "metric": score.metric, "unit": score.unit,
    }  # fmt: skip
    assert (folder / name / "model.safetensors").stat().st_size == measured.bytes.total
    for kind, found in facts["fresh"].items():
        most = SAME_INTEGERS if kind == "onnx" and "activations=" in facts["recipe"] else SAME_FLOATS
        assert abs(found - score.value) <= most, f"the {kind} in a fresh process gives {found}, not {score.value}"
    (folder / f"{name}.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")
    session.close()
    return facts


def whole_test(subject: wb.Subject) -> tuple[Inputs, Tree]:
    """Return inputs and targets of all test samples."""
    data = subject.task.split("test")
    return data.batch(range(len(data)))


def run_all(session: wb.Session, inputs: Inputs) -> Tree:
    """Return what the session's state gives."""
    parts = []
    with torch.inference_mode():
        for start in range(0, len(inputs[0]), 64):
            some = Inputs([value[start : start + 64] for value in inputs], inputs.call)
            parts.append(outputs_of(session.state.model, some))
    return join(parts)


def fresh_score(session: wb.Session, folder: Path, kind: str, inputs: Inputs, targets: Tree) -> float:
    """Return the score of what was exported, run by a process that has nothing of this one."""
    given, found = folder.parent / "inputs.npz", folder.parent / "outputs.npz"
    np.savez(given, **{str(place): value.numpy() for place, value in enumerate(inputs)})
    file = folder / "model.onnx" if kind == "onnx" else folder
    subprocess.run([sys.executable, OUTSIDE, kind, file, given, found], check=True, env=environment(kind))
    with np.load(found) as arrays:
        outputs = [torch.from_numpy(arrays[name]) for name in sorted(arrays.files, key=int)]
    tree = outputs[0] if len(outputs) == 1 else judged(tuple(outputs), inputs)
    metric = session.reference("test").metric
    return metric.score(tree, targets, torch.arange(count(targets)))


def environment(kind: str) -> dict[str, str]:
    """Return what the process may see: the workbench only where it is to open the file."""
    import os

    keys = ("PATH", "OMP_NUM_THREADS", "HOME", "LD_LIBRARY_PATH", "SYSTEMROOT")
    kept = {key: os.environ[key] for key in keys if key in os.environ}
    return {**kept, "PYTHONPATH": str(ROOT)} if kind == "folder" else kept


def table(job: Job, subject: wb.Subject, folder: Path) -> str:
    """Return the rows that were kept as a table, each timed in turn with the float file."""
    kept = [folder / f"{name}.json" for name in job.rows]
    rows = [json.loads(path.read_text(encoding="utf-8")) for path in kept if path.is_file()]
    base = next(row for row in rows if row["what"] == FLOAT)
    example = subject.task.example(1)
    graphs = {row["what"]: open_graph((folder / row["what"] / "model.onnx").read_bytes()) for row in rows}
    lines = []
    for row in rows:
        timed = compare("onnxruntime", graphs[FLOAT], graphs[row["what"]], example, seconds=4.0, most=4000)
        lines.append(line(row, base, timed))
    others = "".join(f" {name} |" for name in job.others)
    ends = "file | ONNX Runtime | in a fresh process | built in |"
    head = f"| | {rows[0]['metric']} on test | against float |{others} {ends}"
    rule = "|---|---:|---:|" + "---:|" * len(job.others) + "---:|---|---:|---:|"
    text = "\n".join([head, rule, *lines])
    (folder / "table.md").write_text(text + "\n", encoding="utf-8")
    return text


def line(row: Mapping[str, Any], base: Mapping[str, Any], timed: Latency) -> str:
    """Return one row of the table."""
    change = "baseline" if row["what"] == FLOAT else interval(row)
    others = "".join(f" {value:.2%} |" for value in row["others"].values())
    fresh = " and ".join(f"{value:.2%}" for value in row["fresh"].values())
    return (
        f"| {row['what']} | {row['test']:.2%} | {change} |{others} {row['bytes']:,} bytes, "
        f"{base['bytes'] / row['bytes']:.1f} × smaller | {formatting.verdict(timed)} | {fresh} "
        f"| {row['seconds']:.0f} s |"
    )


def interval(row: Mapping[str, Any]) -> str:
    """Return the change on test in points, with its 95 % interval for other data."""
    if row["low"] is None:
        return f"{100 * row['change']:+.2f}, no interval"
    return f"{100 * row['change']:+.2f} [{100 * row['low']:+.2f}, {100 * row['high']:+.2f}]"
