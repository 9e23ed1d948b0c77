"""A session's record: what a report, an exported folder and its card say, collected once, as plain JSON."""

from __future__ import annotations

import dataclasses
import os
import platform
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from workbench import formatting
from workbench.errors import WorkbenchError
from workbench.measure import Measurement, Score
from workbench.measure.record import FORMAT, VERSION
from workbench.model.subject import Subject
from workbench.search.sensitivity import Table
from workbench.session.labels import StateLabel
from workbench.session.layer_facts import layer_facts, untouched, weight_facts
from workbench.session.settings import Settings
from workbench.steps import Context, State, Step
from workbench.steps.history import History
from workbench.steps.recipe import step_code
from workbench.task.batch import feeds_of
from workbench.task.device import device_words
from workbench.task.feeding import words_of


@dataclass(frozen=True)
class Recorded:
    """What a record is made of.

    Attributes:
        subject: What is compressed.
        settings: How it was measured.
        history: The states that were tried.
        measurements: What was measured, by the number of the state; of the first and the current state at least.
        test: The current state's score on the test split, None if the task has none.
        test_baseline: The subject's.
        model: Of the current state.
        labels: What people said of states, by number.
    """

    subject: Subject
    settings: Settings
    history: History
    measurements: Mapping[int, Measurement]
    test: Score | None
    test_baseline: Score | None
    model: nn.Module
    labels: Mapping[int, StateLabel] = field(default_factory=dict)


def record(of: Recorded) -> dict[str, Any]:
    """Return what every record says, as plain JSON: subject, task, recipe, settings and measurements."""
    recipe = of.history.recipe(of.settings.seed)
    return {
        "format": FORMAT,
        "version": VERSION,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "software": _software(),
        "machine": {**_machine(), "device": device_words(of.subject.device)},
        "subject": {key: getattr(of.subject, key) for key in ("name", "source", "fingerprint")},
        "task": _task(of.subject, of.model),
        "settings": dataclasses.asdict(of.settings),
        "changed_settings": of.settings.changed(),
        "recipe": recipe.facts(),
        "steps": [{"code": step_code(step), "title": step_title(step), "summary": step.summary} for step in recipe],
        "baseline": of.measurements[0].facts(),
        "current": of.measurements[of.history.at].facts(),
        "test": dataclasses.asdict(of.test) if of.test else None,
        "test_baseline": dataclasses.asdict(of.test_baseline) if of.test_baseline else None,
    }


def details(of: Recorded, state: State, scan: Table | None) -> dict[str, Any]:
    """Return what a report says besides: all states, layers, weights, groups and the latest scan, as plain JSON.

    Args:
        of: As for `record`.
        state: The current one.
        scan: The latest, left out if it was of a state that does not lead to the current one.
    """
    before, after = of.measurements[0].bytes, of.measurements[of.history.at].bytes
    path = [node.number for node in of.history.path()]
    return {
        "states": _states(of),
        "layers": layer_facts(of.subject, state, before, after),
        "weights": weight_facts(of.subject, state),
        "untouched": untouched(of.subject, state, after),
        "groups": _groups(of.subject, state),
        "sensitivity": scan.facts() if scan is not None and scan.state in path else None,
    }


def step_title(step: Step) -> str:
    """Return a step's title with its strength and whatever differs from the defaults."""
    named = [option for option in step.options() if option.name == step.strength]
    named += [o for o in step.options() if o not in named and getattr(step, o.name) != o.default]
    return ", ".join([step.title, *(f"{option.name} {getattr(step, option.name)}" for option in named)])


def _software() -> dict[str, str]:
    versions = {"Python": platform.python_version(), "system": f"{platform.system()} {platform.machine()}"}
    for package, name in (("compression-workbench", "workbench"), ("torch", "torch"), ("onnxruntime", "onnxruntime")):
        try:
            versions[name] = version(package)
        except PackageNotFoundError:
            continue
    return versions


def _machine() -> dict[str, Any]:
    """Return what the numbers were measured on."""
    name = platform.processor() or platform.machine()
    with suppress(OSError):  # Linux has the processor's name in a file
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    return {"processor": name, "cores": os.cpu_count() or 1, "threads": torch.get_num_threads()}


def _task(subject: Subject, model: nn.Module) -> dict[str, Any]:
    task = subject.task
    splits = {split: len(task.split(split)) for split in ("validation", "test") if task.has(split)}
    metric = {key: getattr(task.metric, key) for key in ("name", "unit", "higher_is_better")}
    return {**task.facts(model), "fed": words_of(feeds_of(model)), "metric": metric, "splits": splits}


def _states(of: Recorded) -> list[dict[str, Any]]:
    """Return every state that was measured, with the steps that lead to it; those that were deleted are left out."""
    return [
        {
            "number": node.number,
            "label": label.facts(),
            "steps": [step_title(step) for step in of.history.recipe(of.settings.seed, node.number)],
            "role": "current" if node.number == of.history.at else "baseline" if node.number == 0 else "other",
            "score": dataclasses.asdict(of.measurements[node.number].score),
            "bytes": of.measurements[node.number].bytes.total,
            "latency": {
                name: {"median": one.median, "verdict": formatting.verdict(one)}
                for name, one in of.measurements[node.number].latency.items()
            },
        }
        for node in of.history.nodes
        if node.number in of.measurements
        and (not (label := of.labels.get(node.number, StateLabel())).deleted or node.number == of.history.at)
    ]


def _groups(subject: Subject, state: State) -> dict[str, Any]:
    try:
        groups = Context(subject).groups(state.model)
    except WorkbenchError as error:
        return {"error": str(error), "groups": []}
    rows = [
        {"name": group.name, "layers": list(group.layers), "units": len(group.units), "protected": group.protected}
        for group in groups
    ]
    return {"error": "", "groups": rows}
