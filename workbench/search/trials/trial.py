"""A trial, steps tried on one state: what is known of it, and how more is found out."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from workbench.errors import Cancelled, WorkbenchError
from workbench.jobs.progress import Progress
from workbench.measure import Reference, Score, count, measure_size
from workbench.measure.evaluator import Evaluator, Predict
from workbench.measure.sampling import FINAL_LOOK, REPEATED_LOOKS, Sampling
from workbench.measure.sequential import excess, next_look, whole
from workbench.steps import Context, State, Step, candidate


@dataclass(frozen=True)
class Tolerance:
    """How clear an answer has to be.

    Attributes:
        half_width: Of the interval that is enough, in the metric's unit; 0 scores every sample.
        relative: A half-width of this part of the change is enough too: a large drop needs no precision.
    """

    half_width: float = 0.01
    relative: float = 0.1

    def excess(self, score: Score) -> float:
        """Return how many times wider than enough an interval is, as `measure.sequential.excess`."""
        return excess(score, self.half_width, self.relative)


@dataclass(frozen=True)
class Outcome:
    """What steps do to a state.

    Attributes:
        score: On validation, None if they cannot be done.
        bytes: The whole model's file after it.
        nonzero: The whole model's parameters that are not zero after it.
        reason: Why it cannot be done, "" if it can.
        seen: What the score rests on, from which it can be refined.
        lost: Whether its worker was lost, so that nothing is known of it.
    """

    score: Score | None
    bytes: int = 0
    nonzero: int = 0
    reason: str = ""
    seen: tuple[tuple[float, ...], ...] = ()
    lost: bool = False

    def facts(self) -> dict[str, Any]:
        """Return the outcome as plain JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> Outcome:
        """Return the outcome of plain JSON."""
        score, seen = facts["score"], tuple(tuple(part) for part in facts["seen"])
        return cls(**{**facts, "score": Score.read(score) if score else None, "seen": seen})


@dataclass(frozen=True)
class TrialContext:
    """What trials are made on and judged with."""

    state: State
    context: Context
    reference: Reference
    evaluator: Evaluator


Trial = tuple[Step, ...]


def built(state: State, trial: Trial, context: Context) -> tuple[State, dict[str, Tensor]]:
    """Return the state after a trial's steps, and the overlay if the last of them is one, as `candidate`.

    Where all of them are, the overlay holds the values of all, over the model that the trial began with.
    """
    begun = state.model
    for step in trial[:-1]:
        state = step.build(state, context)
    state, overlay = candidate(state, trial[-1], context) if trial else (state, {})
    if len(trial) > 1 and all(step.overlays for step in trial):
        places = {name: value.data_ptr() for name, value in begun.named_parameters()}
        values = {name: value.detach() for name, value in state.model.named_parameters()}
        moved = {name: value for name, value in values.items() if value.data_ptr() != places[name]}
        state, overlay = replace(state, model=begun), {**moved, **overlay}
    return state, overlay


def advance(
    trial_context: TrialContext, trial: Trial, before: Outcome | None, tolerance: Tolerance, looks: int | None = None
) -> Outcome:
    """Return the outcome of a trial, refined until it is clear or `looks` more times.

    Raises:
        Cancelled: The context's progress was told to stop.
    """
    quiet = replace(trial_context.context, progress=trial_context.context.progress.silent())
    try:
        state, overlay = built(trial_context.state, trial, quiet)
    except Cancelled:
        raise
    except WorkbenchError as error:
        return Outcome(None, reason=str(error))
    predict = trial_context.evaluator.prepare(state, overlay)
    if before is None:
        size = measure_size(state.model, state.codings, trial_context.context.subject, overlay)
        before = Outcome(None, size.total, count(state, overlay)[1])
    try:
        return _scored(trial_context, predict, before, tolerance, looks, quiet.progress)
    except Cancelled:
        raise
    except WorkbenchError as error:  # a metric that is no number here: no drop would be the wrong answer
        return replace(before, score=None, reason=str(error), seen=())


def _scored(
    trial_context: TrialContext,
    predict: Predict,
    before: Outcome,
    tolerance: Tolerance,
    looks: int | None,
    progress: Progress,
) -> Outcome:
    """Return an outcome with its score, refined until it is clear or `looks` more times."""
    if not trial_context.reference.metric.decomposes:
        return replace(before, score=whole(predict, trial_context.reference, progress))
    # With a limit of time every look is shown, and a trial that was begun may have been looked at before.
    how = FINAL_LOOK if looks is None and before.score is None else REPEATED_LOOKS
    sampling = Sampling.of(trial_context.reference, how, before.seen)
    score = before.score
    while score is None or (tolerance.excess(score) > 1 and looks != 0):
        wanted = how.first if score is None else next_look(sampling, score, tolerance.half_width, tolerance.relative)
        score = sampling.look(predict, wanted, progress)
        looks = None if looks is None else looks - 1
    return replace(before, score=score, seen=sampling.facts())


def clear(outcome: Outcome, tolerance: Tolerance) -> bool:
    """Return whether no more has to be known."""
    return outcome.score is None or tolerance.excess(outcome.score) <= 1


def unclear(outcomes: Mapping[int, Outcome], tolerance: Tolerance) -> list[int]:
    """Return the numbers of what is not clear yet, the furthest from it first."""
    left = {
        n: (-tolerance.excess(outcome.score), outcome.score.n)
        for n, outcome in outcomes.items()
        if outcome.score is not None
    }
    # Of those whose intervals are not known, the one comes first of which least was seen.
    return sorted((n for n, (excess, _) in left.items() if excess < -1), key=lambda n: left[n])
