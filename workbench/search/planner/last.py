"""The last comparison: what is shown was scored on every validation sample, built as its recipe builds it.

Candidates are taken from the cheapest on, until enough of them meet the goal. The winner is the one that costs least;
it alone is scored on test, once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from workbench.errors import Cancelled, WorkbenchError
from workbench.jobs.progress import Progress
from workbench.measure import Latency, Score
from workbench.measure.impact import Predictions, compare, predictions
from workbench.measure.sequential import score
from workbench.search.goal import LATENCY, WORST_CLASS
from workbench.search.planner.candidate import Candidate, Verdict, dominates
from workbench.search.planner.findings import Findings, cheapest, front_of
from workbench.search.planner.held_out import Scored, widened
from workbench.search.planner.judge import ROUNDING, verdict_of
from workbench.search.planner.timing import costs_of_time, within_time
from workbench.steps import State

ENOUGH, MOST = 4, 8  # candidates that meet the goal, and that are built for it
MARGIN = 0.15  # of what may be lost, that the next one has to keep more for each that did not meet the goal after all
APART = 0.2  # of what may be lost: who costs more than the winner is shown if it loses so much less


@dataclass(frozen=True)
class Judges:
    """What the last comparison is made with.

    Attributes:
        whole: All of validation.
        held: The part of it that the search never looked at, None if there is none.
        build: From a candidate to its state, built as its recipe builds it.
        costs: From a state to what it costs, by quantity.
        timed: From a state to its latency by runtime, and of those that refuse it why.
        test: From the winner's state to its score on test; None without a test split.
    """

    whole: Scored
    held: Scored | None
    build: Callable[[Candidate, Progress], State]
    costs: Callable[[State], Mapping[str, float]]
    timed: Callable[[State], tuple[Mapping[str, Latency], Mapping[str, str]]]
    test: Callable[[State, Progress], Score | None]


def compare_last(
    findings: Findings, judges: Judges, progress: Progress, report: Callable[[Findings], None]
) -> Findings:
    """Return findings with a front and a winner, each of them scored on all of validation.

    Args:
        findings: What a search found.
        judges: What they are judged with.
        progress: Who is told, and may stop it.
        report: Called with the findings as they grow.

    Raises:
        Cancelled: It was told to stop.
    """
    goal, lose = findings.goal, findings.goal.tolerance(findings.baseline.unit)
    last = _Last(findings, judges, lose)
    order = [one for one in _by_cost(findings) if one.verdict == "meets"]
    for place, candidate in enumerate(order):
        if (last.meeting >= ENOUGH and len(goal.objectives) == 1) or last.tried >= MOST:
            break
        if not last.adds(candidate) or not last.likely(candidate):
            continue
        share = progress.part(place / len(order), (place + 1) / len(order))
        share.update(0.0, f"comparing on all samples: {place + 1}")
        last.take(candidate, share)
        report(last.findings)
    found = last.findings
    compared = last.compared
    candidates = tuple(
        replace(one, held_out=widened(one.held_out, compared)) if one.held_out else one for one in found.candidates
    )
    # What was not compared is not shown as meeting the goal: nobody scored it on all samples.
    final = tuple(one for one in candidates if one.final is not None)
    winner = cheapest(final, goal)
    test = None if winner is None else judges.test(last.states[winner.number], progress)
    found = replace(
        found, candidates=candidates, front=front_of(candidates, goal),
        winner=None if winner is None else winner.number, test=test, compared=compared, phase="done", done=True,
    )  # fmt: skip
    report(found)
    return found


def _by_cost(findings: Findings) -> list[Candidate]:
    names = findings.goal.objectives
    return sorted(findings.candidates, key=lambda one: tuple(one.costs.get(name, math.inf) for name in names))


class _Last:
    def __init__(self, findings: Findings, judges: Judges, lose: float) -> None:
        self.findings, self._judges, self._lose = findings, judges, lose
        self.meeting = self.compared = self.tried = 0
        self.states: dict[int, State] = {}
        self._before: Predictions | None = None

    def adds(self, candidate: Candidate) -> bool:
        """Return whether a candidate may add to the front: none that met the goal costs less and loses less."""
        if not self.meeting:
            return True
        goal = self.findings.goal
        met = [one for one in self.findings.candidates if one.number in self.states]
        if len(goal.objectives) > 1 and not any(dominates(one.costs, candidate.costs, goal.objectives) for one in met):
            return True
        best = min(one.final.loss for one in met if one.final)
        return candidate.score is not None and candidate.score.loss < best - APART * self._lose

    def likely(self, candidate: Candidate) -> bool:
        """Return whether a candidate may meet the goal on all samples, seeing how many did not that did on a part."""
        failed = self.compared - self.meeting
        return candidate.score is not None and candidate.score.loss <= self._lose * (1 - MARGIN * failed)

    def take(self, candidate: Candidate, progress: Progress) -> None:
        """Build and score a candidate on all samples, and measure again what it costs.

        What the search measured may be an earlier one's, of a model built elsewhere, or the luckiest of many times.
        """
        self.tried += 1
        goal = self.findings.goal
        try:
            state = self._judges.build(candidate, progress.part(0.0, 0.5))
            reference, evaluator = self._judges.whole
            final = score(evaluator.prepare(state), reference, 0.0, progress.part(0.5, 0.8))
            held, met = None, verdict_of(final, self._lose) == "meets"
            if self._judges.held is not None and met:
                part, runs = self._judges.held
                held = score(runs.plain(state), part, 0.0, progress.part(0.8, 0.9))
            costs, (latency, refused) = dict(self._judges.costs(state)), self._judges.timed(state)
            costs |= costs_of_time(latency)
            over = [f"{name} is {costs[name]:g}, not {most:g}" for name, most in goal.limits.items()
                    if name in costs and not name.startswith(LATENCY) and not costs[name] <= most]  # fmt: skip
            timed, slow = within_time(latency, refused, goal)
            reason = "; ".join([*over, *([slow] if timed == "fails" else [])])
            reason = reason or (self._class_reason(state, progress.part(0.9, 1.0)) if met else "")
        except Cancelled:
            raise
        except WorkbenchError as error:
            self._put(replace(candidate, verdict="impossible", reason=str(error)))
            return
        self.compared += 1
        verdict: Verdict = "meets" if met and not reason else "fails"
        if verdict == "meets":
            self.meeting += 1
            self.states[candidate.number] = state
        self._put(
            replace(candidate, verdict=verdict, final=final, held_out=held, reason=reason, costs=costs, latency=latency)
        )

    def _class_reason(self, state: State, progress: Progress) -> str:
        """Return how the limit of the worst class is broken, "" if it holds or there is none."""
        limit = self.findings.goal.limits.get(WORST_CLASS)
        if limit is None:
            return ""
        reference, evaluator = self._judges.whole
        if self._before is None:
            self._before = predictions(evaluator.prepare(self._judges.build(NOTHING, progress)), reference, progress)
        after = predictions(evaluator.prepare(state), reference, progress)
        impact = compare(self._before, after, reference)
        sign, factor = (-1 if impact.higher_is_better else 1), (100 if impact.unit == "%" else 1)
        worst = max(impact.classes, key=lambda one: sign * one.change)
        lost = sign * worst.change * factor
        return "" if lost <= limit + ROUNDING else f"class {worst.name} loses {lost:.3g} points, not {limit:g}"

    def _put(self, candidate: Candidate) -> None:
        candidates = tuple(
            candidate if one.number == candidate.number else one for one in self.findings.candidates
        )  # fmt: skip
        self.findings = replace(self.findings, candidates=candidates, compared=self.compared)


NOTHING = Candidate(0, (), "known", "meets")
