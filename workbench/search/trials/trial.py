"""One step tried on one state: what is known of it, and how more is found out."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from workbench.errors import Cancelled, WorkbenchError
from workbench.jobs.progress import Progress
from workbench.measure import Reference, Score, count, measure_size
from workbench.measure.evaluator import Evaluator, Predict
from workbench.measure.sampling import FINAL_LOOK, REPEATED_LOOKS, Sampling
from workbench.measure.sequential import excess, next_look, whole
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
        """Return how many times wider than enough an interval is, as `measure.sequential.excess`."""
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
    try:
        return _scored(ground, predict, before, aim, looks, quiet.progress)
    except Cancelled:
        raise
    except WorkbenchError as error:  # a metric that is no number here: no drop would be the wrong answer
        return replace(before, score=None, reason=str(error), seen=())


def _scored(
    ground: Ground, predict: Predict, before: Outcome, aim: Aim, looks: int | None, progress: Progress
) -> Outcome:
    """Return an outcome with its score, refined until it is clear or `looks` more times."""
    if not ground.reference.metric.decomposes:
        return replace(before, score=whole(predict, ground.reference, progress))
    # With a limit of time every look is shown, and a trial that was begun may have been looked at before.
    how = FINAL_LOOK if looks is None and before.score is None else REPEATED_LOOKS
    sampling = Sampling.of(ground.reference, how, before.seen)
    found = before.score
    while found is None or (aim.excess(found) > 1 and looks != 0):
        wanted = how.first if found is None else next_look(sampling, found, aim.tolerance, aim.relative)
        found = sampling.look(predict, wanted, progress)
        looks = None if looks is None else looks - 1
    return replace(before, score=found, seen=sampling.facts())


def clear(outcome: Outcome, aim: Aim) -> bool:
    """Return whether no more has to be known."""
    return outcome.score is None or aim.excess(outcome.score) <= 1


def unclear(outcomes: Mapping[int, Outcome], aim: Aim) -> list[int]:
    """Return the numbers of what is not clear yet, the furthest from it first."""
    left = {n: (-aim.excess(found.score), found.score.n) for n, found in outcomes.items() if found.score is not None}
    # Of those whose intervals are not known, the one comes first of which least was seen.
    return sorted((n for n, (excess, _) in left.items() if excess < -1), key=lambda n: left[n])
