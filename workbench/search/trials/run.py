"""Many recipes tried on one state, each scored for as long as its answer is unclear.

Trials of one place in the model follow each other, so that they share what enters it. One is done when its interval
is narrow enough. With a limit of time, every trial gets a first estimate, and what time is left goes to the one
that is furthest from being clear. Work may be handed to any `concurrent.futures.Executor`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path

from workbench.search.trials.cache import OutcomeCache
from workbench.search.trials.parcel import run_on
from workbench.search.trials.trial import Outcome, Tolerance, Trial, TrialContext, advance, clear, unclear


def run_trials(
    trial_context: TrialContext,
    trials: Sequence[Trial],
    tolerance: Tolerance,
    *,
    seconds: float | None = None,
    executor: Executor | None = None,
    folder: Path | None = None,
) -> Iterator[tuple[int, Outcome]]:
    """Yield (number, outcome) of trials as they become known; a later one of the same number is more precise.

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
    cache, outcomes = OutcomeCache(folder, trial_context), dict[int, Outcome]()
    for number, trial in enumerate(trials):
        known = cache.read(trial)
        if known is not None:
            outcomes[number] = known
            yield number, known
    if executor is None:
        work = _here(trial_context, trials, tolerance, outcomes, seconds)
    else:
        work = run_on(executor, trial_context, trials, tolerance, outcomes, seconds)
    for number, outcome in work:
        cache.write(trials[number], outcome)
        outcomes[number] = outcome
        yield number, outcome


def _here(
    trial_context: TrialContext,
    trials: Sequence[Trial],
    tolerance: Tolerance,
    outcomes: Mapping[int, Outcome],
    seconds: float | None,
) -> Iterator[tuple[int, Outcome]]:
    trial_context.evaluator.anchor(trial_context.state)
    start = time.monotonic()
    looks = None if seconds is None else 1
    for number, trial in enumerate(trials):
        if number not in outcomes or (seconds is None and not clear(outcomes[number], tolerance)):
            yield number, advance(trial_context, trial, outcomes.get(number), tolerance, looks)
    while seconds is not None and time.monotonic() - start < seconds:
        worst = next(iter(unclear(outcomes, tolerance)), None)
        if worst is None:
            return
        yield worst, advance(trial_context, trials[worst], outcomes[worst], tolerance, 1)
