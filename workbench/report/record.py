"""The record that a report is made from: every number of its text, tables and charts is in it, as plain JSON."""

from __future__ import annotations

import base64
import dataclasses
import json
import os
import platform
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import WorkbenchError
from workbench.jobs.progress import Progress
from workbench.report.layer_facts import layer_facts, weight_facts
from workbench.steps import Step
from workbench.steps.recipe import step_code

if TYPE_CHECKING:
    from workbench.session.session import Session

FORMAT, VERSION = "workbench report", 1
Record = Mapping[str, Any]


def _scan_of(session: Session) -> dict[str, Any] | None:
    """Return the latest scan, if it was of a state that leads to the current one."""
    table = session.table
    if table is None or table.state not in [node.number for node in session.history.path()]:
        return None
    return table.facts()


def collect(session: Session, progress: Progress | None = None) -> dict[str, Any]:
    """Return the record of a session's current state.

    What was not measured yet is measured, and the test split is scored.

    Raises:
        WorkbenchError: The state cannot be built or measured.
        Cancelled: It was told to stop.
    """
    progress = progress or Progress()
    baseline = session.measure(0, progress.part(0.0, 0.3, "baseline"))
    current = session.measure(progress=progress.part(0.3, 0.6, "current state"))
    test = session.test_score(progress.part(0.6, 0.9, "test split"))
    progress.update(0.95, "layers and weights")
    state = session.state
    return {
        "format": FORMAT,
        "version": VERSION,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "software": _software(),
        "subject": {key: getattr(session.subject, key) for key in ("name", "source", "fingerprint")},
        "task": _task(session),
        "settings": dataclasses.asdict(session.settings),
        "recipe": session.recipe.facts(),
        "steps": [
            {"code": step_code(step), "title": step_title(step), "summary": step.summary} for step in session.recipe
        ],
        "states": _states(session),
        "baseline": baseline.facts(),
        "current": current.facts(),
        "test": dataclasses.asdict(test) if test else None,
        "test_baseline": dataclasses.asdict(session.reference("test").score) if test else None,
        "layers": layer_facts(session.subject, state, baseline.bytes, current.bytes),
        "weights": weight_facts(session.subject, state),
        "groups": _groups(session),
        "sensitivity": _scan_of(session),
        "curve": [list(news) for news in session.curve],
    }


def step_title(step: Step) -> str:
    """Return a step's title with its strength and whatever differs from the defaults."""
    named = [option for option in step.options() if option.name == step.strength]
    named += [o for o in step.options() if o not in named and getattr(step, o.name) != o.default]
    return ", ".join([step.title, *(f"{option.name} {getattr(step, option.name)}" for option in named)])


def _software() -> dict[str, str]:
    found = {"Python": platform.python_version(), "system": f"{platform.system()} {platform.machine()}"}
    for package, name in (("compression-workbench", "workbench"), ("torch", "torch"), ("onnxruntime", "onnxruntime")):
        try:
            found[name] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _task(session: Session) -> dict[str, Any]:
    task = session.subject.task
    splits = {split: len(task.split(split)) for split in ("validation", "test") if task.has(split)}
    metric = {key: getattr(task.metric, key) for key in ("name", "unit", "higher_is_better")}
    return {"name": task.name, "classes": list(task.classes), "metric": metric, "splits": splits}


def _states(session: Session) -> list[dict[str, Any]]:
    """Return every state that was measured, with the steps that lead to it."""
    history = session.history
    return [
        {
            "number": node.number,
            "steps": [step_title(step) for step in history.recipe(session.settings.seed, node.number)],
            "role": "current" if node.number == history.at else "baseline" if node.number == 0 else "other",
            "score": dataclasses.asdict(session.measurements[node.number].score),
            "bytes": session.measurements[node.number].bytes.total,
        }
        for node in history.nodes
        if node.number in session.measurements
    ]


def _groups(session: Session) -> dict[str, Any]:
    try:
        groups = session.groups
    except WorkbenchError as error:
        return {"error": str(error), "groups": []}
    rows = [
        {"name": group.name, "layers": list(group.layers), "units": len(group.units), "protected": group.protected}
        for group in groups
    ]
    return {"error": "", "groups": rows}


def write(record: Record, path: Path) -> None:
    """Write a record as JSON."""
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the record of a JSON file.

    Raises:
        WorkbenchError: It cannot be read, or is none.
    """
    try:
        return _checked(json.loads(Path(path).read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise WorkbenchError(f"{path} cannot be read as a report's record: {error}") from error


def pack(record: Record) -> str:
    """Return a record as text that can stand in a notebook's cell."""
    return base64.b85encode(zlib.compress(json.dumps(record).encode(), 9)).decode()


def unpack(text: str) -> dict[str, Any]:
    """Return the record of `pack`.

    Raises:
        WorkbenchError: The text is damaged.
    """
    try:
        return _checked(json.loads(zlib.decompress(base64.b85decode("".join(text.split())))))
    except (ValueError, zlib.error) as error:
        raise WorkbenchError(f"the record in this notebook is damaged: {error}") from error


def _checked(record: Any) -> dict[str, Any]:
    if not isinstance(record, dict) or record.get("format") != FORMAT or record.get("version") != VERSION:
        raise WorkbenchError(f'this is no record of a report: it must say "format": "{FORMAT}", "version": {VERSION}')
    return record
