"""What a search found so far: plain values, from which views, tables and files are made."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from workbench import formatting
from workbench.errors import WorkbenchError
from workbench.measure import Score
from workbench.search.goal import LATENCY, Goal, quantity_title
from workbench.search.planner.candidate import Candidate, dominates
from workbench.steps import Step, TrainingStep
from workbench.steps.recipe import Recipe

LEAST_RANKED = 8  # candidates without which a rank correlation says nothing


@dataclass(frozen=True)
class Mattered:
    """How a knob's setting goes along with the loss of the score.

    Attributes:
        knob: Its name.
        correlation: Spearman's rank correlation with the loss, -1 to 1.
        noise: What chance alone would reach 95 times in 100 for so many candidates, all knobs considered (Bonferroni).
        count: Candidates that it is of.
    """

    knob: str
    correlation: float
    noise: float
    count: int

    @property
    def clear(self) -> bool:
        """Whether it is more than chance would give."""
        return abs(self.correlation) > self.noise


@dataclass(frozen=True)
class Findings:
    """What a search found.

    Attributes:
        goal: What was wanted.
        baseline: The untouched model's score on validation.
        candidates: All that were looked at, in their order.
        front: Numbers of those that are shown: each meets the goal on all of validation, and none costs less and
            loses less than it.
        winner: Number of the one that costs least; None if none meets the goal.
        test: The winner's score on test, None without one.
        seen: Validation samples that candidates were looked at with.
        held: Validation samples that were held out for the last comparison.
        compared: How many were compared last.
        known: How many of the candidates an earlier search had looked at.
        seconds: Spent so far.
        phase: What is being done.
        done: Whether it is over.
        notes: What people have to know.
        before: Quantity to its value before the search.
        begun: The recipe of the state that it began at.
    """

    goal: Goal
    baseline: Score
    candidates: tuple[Candidate, ...] = ()
    front: tuple[int, ...] = ()
    winner: int | None = None
    test: Score | None = None
    seen: int = 0
    held: int = 0
    compared: int = 0
    known: int = 0
    seconds: float = 0.0
    phase: str = ""
    done: bool = False
    notes: tuple[str, ...] = ()
    before: Mapping[str, float] = field(default_factory=dict)
    begun: Recipe = field(default_factory=Recipe)

    def at(self, number: int) -> Candidate:
        """Return a candidate by its number.

        Raises:
            WorkbenchError: There is none.
        """
        for candidate in self.candidates:
            if candidate.number == number:
                return candidate
        raise WorkbenchError(f"there is no candidate {number}; there are {len(self.candidates)}")

    def recipe(self, number: int) -> Recipe:
        """Return the whole recipe of a candidate, from the untouched subject on.

        Raises:
            WorkbenchError: There is no such candidate.
        """
        return Recipe((*self.begun.steps, *self.at(number).steps), self.begun.seed)

    @property
    def best(self) -> Candidate | None:
        """The winner, or while the search goes on the one that costs least of those that meet the goal so far."""
        if self.winner is not None:
            return self.at(self.winner)
        return None if self.done else cheapest(self.candidates, self.goal)

    @property
    def shown(self) -> tuple[Candidate, ...]:
        """The front, cheapest first."""
        return tuple(self.at(number) for number in self.front)

    @property
    def proxy_correlation(self) -> tuple[float, int] | None:
        """Spearman's rank correlation of expected damage and measured loss, and of how many; None of too few."""
        pairs = [
            (one.expected, one.score.loss)
            for one in self.candidates
            if one.expected is not None and one.score is not None and math.isfinite(one.score.loss)
        ]
        found = _spearman([pair[0] for pair in pairs], [pair[1] for pair in pairs])
        return None if found is None else (found, len(pairs))

    @property
    def mattered(self) -> tuple[Mattered, ...]:
        """How the knobs go along with the loss, the strongest first; those that were never moved are left out."""
        scored = [one for one in self.candidates if one.knobs and one.score is not None]
        names = dict.fromkeys(name for one in scored for name in one.knobs)
        found = []
        for name in names:
            rows = [one for one in scored if name in one.knobs and one.score is not None]
            values = [one.knobs[name] for one in rows]
            order = sorted({str(value) for value in values})
            numbers = [float(v) if not isinstance(v, str) else float(order.index(v)) for v in values]
            correlation = _spearman(numbers, [one.score.loss for one in rows if one.score is not None])
            if correlation is not None:
                found.append((name, correlation, len(rows)))
        return tuple(
            Mattered(name, correlation, _chance(count, len(found)), count)
            for name, correlation, count in sorted(found, key=lambda row: -abs(row[1]))
        )

    @property
    def words(self) -> str:
        """What people read of how honest the result is: how many were tried, on what, and what choosing may cost."""
        tried = f"{len(self.candidates):,} candidates"
        if self.known:
            tried += f" ({self.known:,} of them known from earlier searches)"
        lines = [f"{tried} were looked at on {self.seen:,} of {self.baseline.total:,} validation samples."]
        best = self.best
        if best is None or best.final is None:
            return " ".join(lines)
        where = f"compared on all {self.baseline.total:,}"
        if self.held and best.held_out is not None:
            where += f", of which {self.held:,} were held out until then; on those the winner changed by "
            where += f"{formatting.change(best.held_out)}"
            where += f" (widened for {self.compared} compared)" if self.compared > 1 else ""
            if any(isinstance(step, TrainingStep) for step in best.steps):
                where += "; its training chose among epochs on all of validation"
        else:
            where += ", on which they were chosen too: expect a little less elsewhere"
        lines.append(f"{self.compared} of them {'was' if self.compared == 1 else 'were'} {where}.")
        return " ".join(lines)

    def facts(self) -> dict[str, Any]:
        """Return the findings as plain JSON."""
        return {
            **{name: value for name, value in vars(self).items() if name not in ("goal", "baseline", "candidates")},
            "goal": self.goal.facts(),
            "baseline": vars(self.baseline),
            "test": vars(self.test) if self.test else None,
            "before": dict(self.before),
            "begun": self.begun.facts(),
            "candidates": [one.facts() for one in self.candidates],
            "words": self.words,
            "proxy_correlation": self.proxy_correlation,
            "mattered": [vars(one) for one in self.mattered],
        }


def cheapest(candidates: tuple[Candidate, ...], goal: Goal) -> Candidate | None:
    """Return the candidate that meets a goal at the least of its first quantity, None if none does."""
    first = goal.objectives[0]
    meeting = [one for one in candidates if one.verdict == "meets" and first in one.costs]
    return min(meeting, key=lambda one: (*(one.costs.get(name, math.inf) for name in goal.objectives),), default=None)


def front_of(candidates: tuple[Candidate, ...], goal: Goal) -> tuple[int, ...]:
    """Return the numbers of those that meet a goal and are beaten by none in costs and loss, cheapest first."""
    meeting = [one for one in candidates if one.verdict == "meets" and one.final is not None]
    axes = {one.number: {**one.costs, "loss": one.final.loss if one.final else math.inf} for one in meeting}
    names = (*goal.objectives, "loss")
    kept = [
        one
        for one in meeting
        if not any(
            dominates(axes[other.number], axes[one.number], names)
            and (axes[other.number] != axes[one.number] or other.number < one.number)
            for other in meeting
            if other is not one
        )
    ]
    return tuple(one.number for one in sorted(kept, key=lambda one: one.costs.get(goal.objectives[0], math.inf)))


def title_of_steps(candidate: Candidate) -> str:
    """Return what people read of a candidate's steps: their titles, each once."""
    titles = dict.fromkeys(step.title for step in candidate.steps)
    return " → ".join(titles) or "as it is"


def on_validation(score: Score) -> str:
    """Return the change on samples that a candidate was chosen on, which says nothing of other data."""
    interval = "" if score.exact else f" {formatting.change_interval(score)}"
    return f"{formatting.points(score.change, score.unit)}{interval}"


def cost_of(candidate: Candidate, name: str) -> str:
    """Return what a candidate costs with its unit, a time with its interval."""
    words, timing = cost_words(name, candidate.costs[name]), candidate.latency.get(name.removeprefix(LATENCY))
    if not name.startswith(LATENCY) or timing is None or timing.verdict == "unknown":
        return words
    return f"{words} [{1 / timing.ratio_high:.2f}, {1 / timing.ratio_low:.2f}]"


def cost_words(name: str, value: float) -> str:
    """Return a cost with its unit."""
    if name in ("bytes", "memory"):
        return formatting.size(value)
    if name == "energy":
        return formatting.joules(value)
    return f"{value:.2f} of the baseline's" if name.startswith("latency:") else formatting.count(value)


def costs_words(candidate: Candidate, goal: Goal) -> str:
    """Return the costs that a goal speaks of."""
    return ", ".join(
        f"{quantity_title(name)} {cost_of(candidate, name)}" for name in goal.objectives if name in candidate.costs
    )


def key_of(steps: Sequence[Step]) -> str:
    """Return a text that is the same for equal steps."""
    return json.dumps([step.facts() for step in steps], sort_keys=True)


def _spearman(one: list[float], other: list[float]) -> float | None:
    if len(one) < LEAST_RANKED or len(set(one)) < 2 or len(set(other)) < 2:
        return None
    from scipy.stats import spearmanr  # slow to import

    return float(spearmanr(one, other).statistic)


def _chance(count: int, knobs: int) -> float:
    """Return the rank correlation that chance reaches in so many of unrelated values: normal, of variance 1/(n - 1)."""
    from statistics import NormalDist

    return min(NormalDist().inv_cdf(1 - 0.025 / max(knobs, 1)) / math.sqrt(max(count - 1, 1)), 1.0)
