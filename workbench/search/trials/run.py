"""Many recipes tried on one state, each scored for as long as its answer is unclear.

Trials of one place in the model follow each other, so that they share what enters it. One is done when its interval
is narrow enough. With a limit of time, every trial gets a first estimate, and what time is left goes to the one
that is furthest from being clear. Work may be handed to any `concurrent.futures.Executor`.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from concurrent.futures import Executor
from contextlib import closing
from itertools import groupby
from pathlib import Path
from typing import Any

from workbench.search.trials.cache import OutcomeCache
from workbench.search.trials.trial import Outcome, Tolerance, Trial, TrialContext, advance, clear, unclear
from workbench.search.trials.workers import Lost, Work, Workers
from workbench.steps import Need

Job = tuple[int, Trial, Outcome | None]


def run_trials(
    trial_context: TrialContext,
    trials: Sequence[Trial],
    tolerance: Tolerance,
    *,
    seconds: float | None = None,
    executor: Executor | None = None,
    folder: Path | None = None,
) -> Generator[tuple[int, Outcome], None, None]:
    """Yield (number, outcome) of trials as they become known; a later one of the same number is more precise.

    One whose worker was lost is not tried again: it may be what killed it.

    Args:
        trial_context: What they are tried on.
        trials: Steps each; those of one place in the model should follow each other.
        tolerance: How clear the answers have to be.
        seconds: Time to spend, None for as much as it takes. First estimates are made even if it is over.
        executor: Who does the work, None for the calling thread.
        folder: Where outcomes are kept for the next time.

    Raises:
        Cancelled: The context's progress was told to stop; what was found is kept.
        WorkbenchError: The model or data cannot be sent to the executor's workers.
    """
    cache = OutcomeCache(folder, trial_context)
    queue = _Queue(trials, tolerance, seconds, alone=executor is None)
    for number, trial in enumerate(trials):
        known = cache.read(trial)
        if known is not None:
            queue.take(number, known)
            yield number, known
    trains = any(Need.TRAIN in step.needs() for trial in trials for step in trial)
    workers = Workers(trial_context, executor, train=trains)
    if executor is None:
        trial_context.evaluator.anchor(trial_context.state)
    queue.begin()
    with closing(workers.results(queue.ask, trial_context.context.progress)) as results:
        for work, result in results:
            if isinstance(result, Lost):
                result = queue.lost(work.tag, result.reason)
            for number, outcome in result:
                if not outcome.lost:
                    cache.write(trials[number], outcome)
                queue.take(number, outcome)
                yield number, outcome


class _Queue:
    """Which trials are looked at next.

    Args:
        trials: All of them.
        tolerance: How clear they have to be.
        seconds: Time to spend, None for as much as it takes.
        alone: Whether this thread does the work, and tells of each trial at once.
    """

    def __init__(self, trials: Sequence[Trial], tolerance: Tolerance, seconds: float | None, alone: bool) -> None:
        self._trials, self._tolerance, self._seconds, self._alone = trials, tolerance, seconds, alone
        self._outcomes: dict[int, Outcome] = {}
        self._under_way: set[int] = set()
        self._given_up: set[int] = set()
        self._first: list[list[int]] = []
        self._end = 0.0

    def begin(self) -> None:
        """Start the clock, and say what has to be looked at whatever it says."""
        self._end = time.monotonic() + (self._seconds or 0.0)
        todo = [
            n
            for n in range(len(self._trials))
            if n not in self._outcomes or (self._seconds is None and not clear(self._outcomes[n], self._tolerance))
        ]
        # Trials that differ in strength alone are one piece of work: they share a place in the model, or a ranking.
        together = groupby(todo, key=lambda n: n if self._alone else _without_strength(self._trials[n]))
        self._first = [list(group) for _, group in together]

    def take(self, number: int, outcome: Outcome) -> None:
        """Know what came of a trial."""
        self._outcomes[number] = outcome
        self._under_way.discard(number)

    def lost(self, numbers: Sequence[int], reason: str) -> list[tuple[int, Outcome]]:
        """Give up trials whose worker was lost, and return what is told of them: what was known stays known."""
        self._given_up.update(numbers)
        self._under_way.difference_update(numbers)
        unknown = [n for n in numbers if n not in self._outcomes or self._outcomes[n].score is None]
        return [(number, Outcome(None, reason=reason, lost=True)) for number in unknown]

    def ask(self) -> Work | None:
        """Return the next piece of work: first estimates, then what is furthest from clear while there is time."""
        if self._first:
            return self._work(self._first.pop(0))
        if self._seconds is None or time.monotonic() >= self._end:
            return None
        taken = self._under_way | self._given_up
        left = {n: outcome for n, outcome in self._outcomes.items() if n not in taken}
        worst = next(iter(unclear(left, self._tolerance)), None)
        return None if worst is None else self._work([worst])

    def _work(self, numbers: list[int]) -> Work:
        self._under_way.update(numbers)
        jobs = [(n, self._trials[n], self._outcomes.get(n)) for n in numbers]
        looks = None if self._seconds is None else 1
        return Work(tried if self._alone else tried_elsewhere, (jobs, self._tolerance, looks), tag=numbers)


def tried(
    trial_context: TrialContext, jobs: Sequence[Job], tolerance: Tolerance, looks: int | None
) -> list[tuple[int, Outcome]]:
    """Return the outcomes of some trials, each after a number of looks or when it is clear."""
    return [(number, advance(trial_context, trial, before, tolerance, looks)) for number, trial, before in jobs]


def tried_elsewhere(
    trial_context: TrialContext, jobs: Sequence[Job], tolerance: Tolerance, looks: int | None
) -> list[tuple[int, Outcome]]:
    """Return what `tried` does, on a worker that may have done other work in between."""
    trial_context.evaluator.anchor(trial_context.state)
    return tried(trial_context, jobs, tolerance, looks)


def _without_strength(trial: Trial) -> list[dict[str, Any]]:
    return [{name: value for name, value in step.facts().items() if name != step.strength} for step in trial]
