"""Sensitivity: one part of the model at a time, at several strengths, scored until the answer is clear.

A part is a layer or a coupled group of channels, whichever the step works on. What cannot be done is in the
table with its reason, and never counts as robust.
"""

from __future__ import annotations

import dataclasses
import glob
import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import WorkbenchError, within
from workbench.measure import Score
from workbench.search.trials import Tolerance, TrialContext, run_trials
from workbench.steps import Context, State, Step

DEFAULT_TOLERANCE = Tolerance()


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
        score = facts["score"]
        return cls(**{**facts, "score": Score.read(score) if score else None})


def worse(score: Score) -> float:
    """Return by how much a score is worse than the baseline's; infinite where it is no number."""
    return score.loss


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
        lost: By how much the score of that state was worse than the baseline's already.
    """

    step: Mapping[str, Any]
    baseline: Score
    targets: tuple[str, ...]
    strengths: tuple[float, ...]
    points: tuple[Point, ...] = ()
    state: int = 0
    lost: float = 0.0

    def drop(self, point: Point) -> float:
        """Return by how much the step makes the scanned state's score worse; infinite where it cannot be done."""
        return math.inf if point.score is None else worse(point.score) - self.lost

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
            Score.read(facts["baseline"]),
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
    modules = {layer.module for layer in context.layers(state.model) if layer.name in chosen}
    return {group.name: group.protected or "" for group in groups if modules.intersection(group.layers)}


def scan(
    trial_context: TrialContext,
    step: Step,
    strengths: Sequence[float] = (),
    *,
    tolerance: Tolerance = DEFAULT_TOLERANCE,
    seconds: float | None = None,
    executor: Executor | None = None,
    folder: Path | None = None,
    report: Callable[[Table], None] = lambda _: None,
) -> Table:
    """Return the sensitivity of every part to a step.

    Args:
        trial_context: The state that the step is tried on, and what it is judged with.
        step: Its layers say which parts; its strength is varied.
        strengths: Values of the step's strength field; its own list by default.
        tolerance: How clear each point has to be: by default ±1 point, or a tenth of the drop where that is more.
        seconds: Time to spend, None for as much as it takes. Every point gets a first estimate; then what is
            furthest from the tolerance is refined.
        executor: Who does the work, None for the calling thread.
        folder: Where points are kept; a scan that was cancelled or killed goes on where it was.
        report: Called with the growing table.

    Raises:
        WorkbenchError: The step has no strength to vary, or no part of the model fits it.
        Cancelled: It was told to stop; what was found is kept.
    """
    if not step.strength:
        raise WorkbenchError(f"{step.title} has no strength to vary, so it cannot be scanned")
    state, context = trial_context.state, trial_context.context
    parts = targets(state, step, context)
    if not parts:
        raise WorkbenchError(f"{step.title}: no part of the model fits {step.layers}")
    values = tuple(strengths or step.amounts)
    places = [(target, strength) for target in parts for strength in values]
    points: dict[tuple[str, float], Point] = {
        (target, strength): Point(target, strength, None, reason=reason)
        for (target, strength), reason in ((place, parts[place[0]]) for place in places)
        if reason
    }
    steps = {place: _at(step, *place) for place in places if place not in points}
    table = Table(step.facts(), trial_context.reference.score, tuple(parts), values)
    order = list(steps)
    trials = [(step,) for step in steps.values()]
    work = run_trials(trial_context, trials, tolerance, seconds=seconds, executor=executor, folder=folder)
    with closing(work) as outcomes:
        for number, outcome in outcomes:
            target, strength = order[number]
            points[target, strength] = Point(
                target, strength, outcome.score, outcome.bytes, outcome.nonzero, outcome.reason
            )
            context.progress.update(len(points) / len(places), f"{target} at {strength:g}")
            table = dataclasses.replace(table, points=tuple(points[place] for place in places if place in points))
            report(table)
    context.progress.update(1.0)
    return dataclasses.replace(table, points=tuple(points[place] for place in places))


def _at(step: Step, target: str, strength: float) -> Step:
    with within(f"strength {strength:g}"):
        return step.with_strength(glob.escape(target), strength)
