"""Sensitivity: one part of the model at a time, at several strengths, scored until the answer is clear.

A part is a layer or a coupled group of channels, whichever the step works on. What cannot be done is in the
table with its reason, and never counts as robust.
"""

from __future__ import annotations

import dataclasses
import glob
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from workbench.errors import Cancelled, WorkbenchError
from workbench.live import candidate
from workbench.measure import Reference, Score, count, measure_size, score
from workbench.steps import Context, State, Step

TOLERANCE = 0.01
RELATIVE = 0.1


@dataclass(frozen=True)
class Point:
    """One part at one strength.

    Attributes:
        target: Name of the layer or group.
        strength: Value of the step's strength field.
        score: On validation, None if the step cannot be done here.
        bytes: The whole model's file with only this change.
        nonzero: The whole model's parameters that are not zero.
        reason: Why it cannot be done, "" if it can.
    """

    target: str
    strength: float
    score: Score | None
    bytes: int = 0
    nonzero: int = 0
    reason: str = ""

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> Point:
        """Return the point of plain JSON."""
        found = facts["score"]
        return cls(**{**facts, "score": Score(**found) if found else None})


@dataclass(frozen=True)
class Table:
    """A scan's result.

    Attributes:
        step: The scanned step as plain JSON.
        baseline: The score that the drops are against.
        targets: Parts in the model's order.
        strengths: As they were scanned.
        points: What is known so far; a part of all while a scan runs.
        state: Number of the session's state that was scanned.
    """

    step: Mapping[str, Any]
    baseline: Score
    targets: tuple[str, ...]
    strengths: tuple[float, ...]
    points: tuple[Point, ...] = ()
    state: int = 0

    @property
    def done(self) -> bool:
        """Whether every point is there."""
        return len(self.points) == len(self.targets) * len(self.strengths)

    def at(self, target: str, strength: float) -> Point | None:
        """Return a point, None if it was not reached yet."""
        return next((p for p in self.points if p.target == target and p.strength == strength), None)

    def facts(self) -> dict[str, Any]:
        """Return the table as plain JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> Table:
        """Return the table of plain JSON."""
        return cls(
            facts["step"],
            Score(**facts["baseline"]),
            tuple(facts["targets"]),
            tuple(facts["strengths"]),
            tuple(Point.read(point) for point in facts["points"]),
            facts.get("state", 0),
        )


def targets(state: State, step: Step, context: Context) -> dict[str, str]:
    """Return the parts of a model that `step` can be scanned over, each with why it cannot be done, or ""."""
    chosen = {layer.name for layer in step.chosen(context.layers(state.model))}
    if step.scans == "layers":
        return dict.fromkeys([layer.name for layer in context.layers(state.model) if layer.name in chosen], "")
    groups = context.groups(state.model)
    return {group.name: group.protected or "" for group in groups if chosen.intersection(group.layers)}


def scan(
    state: State,
    step: Step,
    context: Context,
    reference: Reference,
    strengths: Sequence[float] = (),
    *,
    tolerance: float = TOLERANCE,
    cache: Path | None = None,
    found: Callable[[Table], None] = lambda _: None,
) -> Table:
    """Return the sensitivity of every part to a step.

    Each point is scored until its interval is within ±`tolerance`, or within a tenth of the drop where that is
    more: large drops need no precision.

    Args:
        state: What the step is tried on.
        step: Its layers say which parts; its strength is varied.
        context: Subject and progress.
        reference: The baseline's results.
        strengths: Values of the step's strength field; its own list by default.
        tolerance: Half-width of the interval, in the metric's unit.
        cache: A folder; points that are there already are not scored again, so a scan that was cancelled or
            killed goes on where it was.
        found: Called with the growing table.

    Raises:
        WorkbenchError: The step has no strength to vary, or no part of the model fits it.
        Cancelled: It was told to stop; what was found is in the cache.
    """
    if not step.strength:
        raise WorkbenchError(f"{step.title} has no strength to vary, so it cannot be scanned")
    parts = targets(state, step, context)
    if not parts:
        raise WorkbenchError(f"{step.title}: no part of the model fits {step.layers}")
    values = tuple(strengths or step.amounts)
    table = Table(step.facts(), reference.score, tuple(parts), values)
    total = len(parts) * len(values)
    key = _key(state, context, tolerance)
    for target, reason in parts.items():
        for strength in values:
            context.progress.update(len(table.points) / total, f"{target} at {strength:g}")
            try:
                one = step.with_strength(glob.escape(target), strength)
            except WorkbenchError as error:
                raise error.within(f"strength {strength:g}") from None
            point = _kept(cache, key, one) or _point(
                state, one, target, strength, reason, context, reference, tolerance
            )
            _keep(cache, key, one, point)
            table = dataclasses.replace(table, points=(*table.points, point))
            found(table)
    context.progress.update(1.0)
    return table


def _point(
    state: State,
    step: Step,
    target: str,
    strength: float,
    reason: str,
    context: Context,
    reference: Reference,
    tolerance: float,
) -> Point:
    if reason:
        return Point(target, strength, None, reason=reason)
    quiet = dataclasses.replace(context, progress=context.progress.silent())
    try:
        built, forward, overlay = candidate(state, step, quiet)
    except Cancelled:
        raise
    except WorkbenchError as error:
        return Point(target, strength, None, reason=str(error))
    found = score(forward, reference, tolerance, quiet.progress, relative=RELATIVE)
    size = measure_size(built.model, built.codings, context.subject, overlay)
    return Point(target, strength, found, size.total, count(built, overlay)[1])


def _key(state: State, context: Context, tolerance: float) -> str:
    digest = hashlib.sha256(context.subject.fingerprint.encode())
    for name, value in state.model.state_dict().items():
        digest.update(name.encode() + value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    for name, coding in state.codings.items():
        digest.update(f"{name} {coding.kind} {coding.facts()} {coding.entropy}".encode())
    digest.update(f"{context.seed} {tolerance} {context.subject.task.metric.name}".encode())
    return digest.hexdigest()[:16]


def _file(cache: Path, key: str, step: Step) -> Path:
    name = hashlib.sha256(json.dumps(step.facts(), sort_keys=True).encode()).hexdigest()[:16]
    return cache / key / f"{name}.json"


def _kept(cache: Path | None, key: str, step: Step) -> Point | None:
    if cache is None:
        return None
    try:
        return Point.read(json.loads(_file(cache, key, step).read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError):
        return None  # absent, or cut short by a kill: it is scored again


def _keep(cache: Path | None, key: str, step: Step, point: Point) -> None:
    if cache is None:
        return
    path = _file(cache, key, step)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(dataclasses.asdict(point)), encoding="utf-8")
