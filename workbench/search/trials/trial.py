"""One step tried on one state: what is known of it, and how more is found out."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from workbench.errors import Cancelled, WorkbenchError
from workbench.measure import Reference, Score, count, measure_size
from workbench.measure.evaluator import Evaluator
from workbench.measure.score import TOLD, WATCHED, Sampling, excess, next_look, whole
from workbench.steps import Context, State, Step, candidate


@dataclass(frozen=True)
class Aim:
    """How clear an answer has to be.

    Attributes:
        tolerance: Half-width of the interval that is enough, in the metric's unit; 0 scores every sample.
        relative: A half-width of this part of the change is enough too: a large drop needs no precision.
    """

    tolerance: float = 0.01
    relative: float = 0.1

    def excess(self, found: Score) -> float:
        """Return how many times wider than enough an interval is, as `measure.score.excess`."""
        return excess(found, self.tolerance, self.relative)


@dataclass(frozen=True)
class Outcome:
    """What a step does to a state.

    Attributes:
        score: On validation, None if the step cannot be done.
        bytes: The whole model's file after it.
        nonzero: The whole model's parameters that are not zero after it.
        reason: Why it cannot be done, "" if it can.
        seen: What the score rests on, from which it can be refined.
    """

    score: Score | None
    bytes: int = 0
    nonzero: int = 0
    reason: str = ""
    seen: tuple[tuple[float, ...], ...] = ()

    def facts(self) -> dict[str, Any]:
        """Return the outcome as plain JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> Outcome:
        """Return the outcome of plain JSON."""
        found, seen = facts["score"], tuple(tuple(part) for part in facts["seen"])
        return cls(**{**facts, "score": Score(**found) if found else None, "seen": seen})


@dataclass(frozen=True)
class Ground:
    """What trials are made on and judged with."""

    state: State
    context: Context
    reference: Reference
    evaluator: Evaluator


def advance(ground: Ground, step: Step, before: Outcome | None, aim: Aim, looks: int | None = None) -> Outcome:
    """Return the outcome of a step, refined until it is clear or `looks` more times.

    Raises:
        Cancelled: The ground's progress was told to stop.
    """
    quiet = replace(ground.context, progress=ground.context.progress.silent())
    try:
        built, overlay = candidate(ground.state, step, quiet)
    except Cancelled:
        raise
    except WorkbenchError as error:
        return Outcome(None, reason=str(error))
    predict = ground.evaluator.prepare(built, overlay)
    if before is None:
        size = measure_size(built.model, built.codings, ground.context.subject, overlay)
        before = Outcome(None, size.total, count(built, overlay)[1])
    if not ground.reference.metric.decomposes:
        return replace(before, score=whole(predict, ground.reference, quiet.progress))
    # With a limit of time every look is shown, and a trial that was begun may have been looked at before.
    how = TOLD if looks is None and before.score is None else WATCHED
    sampling = Sampling.of(ground.reference, how, before.seen)
    found = before.score
    while found is None or (aim.excess(found) > 1 and looks != 0):
        wanted = how.first if found is None else next_look(sampling, found, aim.tolerance, aim.relative)
        found = sampling.look(predict, wanted, quiet.progress)
        looks = None if looks is None else looks - 1
    return replace(before, score=found, seen=sampling.facts())


def clear(outcome: Outcome, aim: Aim) -> bool:
    """Return whether no more has to be known."""
    return outcome.score is None or aim.excess(outcome.score) <= 1


def unclear(outcomes: Mapping[int, Outcome], aim: Aim) -> list[int]:
    """Return the numbers of what is not clear yet, the furthest from it first."""
    left = {n: aim.excess(found.score) for n, found in outcomes.items() if found.score is not None}
    return sorted((n for n, excess in left.items() if excess > 1), key=lambda n: -left[n])
