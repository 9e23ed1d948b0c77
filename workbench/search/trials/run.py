"""Many steps tried on one state, each scored for as long as its answer is unclear.

Trials of one place in the model follow each other, so that they share what enters it. One is done when its interval
is narrow enough. With a limit of time, every trial gets a first estimate, and what time is left goes to the one
that is furthest from being clear. Work may be handed to any `concurrent.futures.Executor`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path

from workbench.search.trials.elsewhere import elsewhere
from workbench.search.trials.kept import Kept
from workbench.search.trials.trial import Aim, Ground, Outcome, advance, clear, unclear
from workbench.steps import Step


def run_trials(
    ground: Ground,
    steps: Sequence[Step],
    aim: Aim,
    *,
    seconds: float | None = None,
    executor: Executor | None = None,
    folder: Path | None = None,
) -> Iterator[tuple[int, Outcome]]:
    """Yield (number, outcome) of steps as they become known; a later one of the same number is more precise.

    Args:
        ground: What they are tried on.
        steps: Those of one place in the model should follow each other.
        aim: How clear the answers have to be.
        seconds: Time to spend, None for as much as it takes. First estimates are made even if it is over.
        executor: Who does the work, None for the calling thread.
        folder: Where outcomes are kept for the next time.

    Raises:
        Cancelled: The ground's progress was told to stop; what was found is kept.
        WorkbenchError: The model or data cannot be sent to the executor's workers.
    """
    kept, outcomes = Kept(folder, ground), dict[int, Outcome]()
    for number, step in enumerate(steps):
        known = kept.read(step)
        if known is not None:
            outcomes[number] = known
            yield number, known
    if executor is None:
        work = _here(ground, steps, aim, outcomes, seconds)
    else:
        work = elsewhere(executor, ground, steps, aim, outcomes, seconds)
    for number, outcome in work:
        kept.write(steps[number], outcome)
        outcomes[number] = outcome
        yield number, outcome


def _here(
    ground: Ground, steps: Sequence[Step], aim: Aim, outcomes: Mapping[int, Outcome], seconds: float | None
) -> Iterator[tuple[int, Outcome]]:
    ground.evaluator.anchor(ground.state)
    start = time.monotonic()
    looks = None if seconds is None else 1
    for number, step in enumerate(steps):
        if number not in outcomes or (seconds is None and not clear(outcomes[number], aim)):
            yield number, advance(ground, step, outcomes.get(number), aim, looks)
    while seconds is not None and time.monotonic() - start < seconds:
        worst = next(iter(unclear(outcomes, aim)), None)
        if worst is None:
            return
        yield worst, advance(ground, steps[worst], outcomes[worst], aim, 1)
