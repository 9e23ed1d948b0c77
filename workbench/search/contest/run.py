"""Holding an importance contest.

Which ranking is right is measured: the least important units go first, and the score is compared, sample by sample,
with the baseline's. Each stop is a trial, so it is kept, goes on where it was cut short, and may be made elsewhere.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import closing
from pathlib import Path

from torch import Tensor

from workbench.errors import Cancelled, WorkbenchError
from workbench.search.contest.correlation import correlations
from workbench.search.contest.result import Contest, Entry, Stop, Units
from workbench.search.contest.units import Ranked, ranked_channels, ranked_weights
from workbench.search.trials import Outcome, Tolerance, TrialContext, run_trials
from workbench.steps import Context
from workbench.steps.prune.importance import CRITERIA, WEIGHT_CRITERIA

AMOUNTS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)


def hold_contest(
    trial_context: TrialContext,
    *,
    units: Units = "channels",
    layers: str = "*",
    exclude: str = "",
    criteria: Sequence[str] = (),
    amounts: Sequence[float] = AMOUNTS,
    ranking: str = "local",
    tolerance: float = Tolerance.half_width,
    executor: Executor | None = None,
    folder: Path | None = None,
    report: Callable[[Contest], None] = lambda _: None,
) -> Contest:
    """Return how all criteria rank the same units, and the scores that follow.

    A criterion that says nothing about some of the units takes no part, with the reason. Each score is measured until
    its interval is within ±`tolerance`, or within a tenth of the drop where that is more.

    Args:
        trial_context: Whose model is ranked, and what it is judged with.
        units: "channels" of coupled groups that can be cut, or "weights".
        layers: Which layers (or groups with one of these layers): names or globs, with commas between them.
        exclude: Which not.
        criteria: Kinds; by default all that rank such units.
        amounts: Parts of the units, 0 to 1, that go.
        ranking: "local" takes the same part of every group or layer, "global" ranks them together.
        tolerance: Half-width of the interval, in the metric's unit.
        executor: Who scores, None for the calling thread.
        folder: Where scores are kept; a contest that was cancelled or killed goes on where it was.
        report: Called with the growing contest.

    Raises:
        WorkbenchError: An argument is not accepted, or nothing can be ranked.
        Cancelled: It was told to stop.
    """
    kinds = _checked(units, criteria, amounts, ranking)
    state, context = trial_context.state, trial_context.context
    if units == "channels":
        what = ranked_channels(state, context, layers, exclude, ranking)
    else:
        what = ranked_weights(state, context, layers, exclude, ranking, kinds)
    stops = tuple(sorted(set(amounts)))
    trials = {(kind, amount): (what.step(kind, amount),) for kind in kinds for amount in stops}
    entries, ranked = _rank(what, kinds, context)
    contest = Contest(
        units, ranking, what.parts, stops, trial_context.reference.score, tuple(entries.values()),
        correlations(kinds, ranked),
    )  # fmt: skip
    report(contest)
    places = [place for place in trials if place[0] in ranked]
    outcomes = run_trials(
        trial_context,
        [trials[place] for place in places],
        Tolerance(tolerance),
        executor=executor,
        folder=folder,
    )
    with closing(outcomes):
        for done, (number, outcome) in enumerate(outcomes, 1):
            kind, amount = places[number]
            entries[kind] = _with(entries[kind], amount, outcome)
            contest = dataclasses.replace(contest, entries=tuple(entries.values()))
            context.progress.update(
                0.5 + 0.5 * min(done / len(places), 1.0), f"following {CRITERIA[kind].title}, {amount:.0%} gone"
            )
            report(contest)
        context.progress.update(1.0)
    return contest


def _rank(
    what: Ranked, kinds: Sequence[str], context: Context
) -> tuple[dict[str, Entry], dict[str, Mapping[str, Tensor]]]:
    """Return every criterion's entry, still without scores, and the importance of all units by those that rank them."""
    entries, ranked = dict[str, Entry](), dict[str, Mapping[str, Tensor]]()
    for number, kind in enumerate(kinds):
        share = context.within(number / len(kinds) / 2, (number + 1) / len(kinds) / 2, CRITERIA[kind].title)
        start, reason = time.perf_counter(), ""
        try:
            ranked[kind] = what.rank(kind, share)
        except Cancelled:
            raise
        except WorkbenchError as error:
            reason = str(error)
        entries[kind] = Entry(kind, CRITERIA[kind].title, time.perf_counter() - start, reason=reason)
    return entries, ranked


def _with(entry: Entry, amount: float, outcome: Outcome) -> Entry:
    if outcome.score is None:
        return entry.refused(outcome.reason)
    return entry if entry.reason else entry.after(Stop(amount, outcome.score))


def _checked(units: str, criteria: Sequence[str], amounts: Sequence[float], ranking: str) -> list[str]:
    if units not in ("channels", "weights"):
        raise WorkbenchError(f'units are "channels" or "weights", not {units!r}')
    if ranking not in ("local", "global"):
        raise WorkbenchError(f'the ranking is "local" or "global", not {ranking!r}')
    if not amounts or not all(0 <= amount < 1 for amount in amounts):
        raise WorkbenchError(f"amounts are parts of the units, from 0 to less than 1, not {tuple(amounts)}")
    known = list(CRITERIA if units == "channels" else WEIGHT_CRITERIA)
    unknown = [kind for kind in criteria if kind not in known]
    if unknown:
        raise WorkbenchError(f"{', '.join(unknown)} does not rank {units}; there are {', '.join(known)}")
    return [kind for kind in known if kind in criteria] if criteria else known
