"""A candidate: steps that a search looked at, and what is known of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast, get_args

from workbench.errors import WorkbenchError
from workbench.measure import Latency, Score
from workbench.steps import Step
from workbench.steps.recipe import read_step

# "meets" and "fails" are the goal's; "dominated" was not scored to the end, because another that meets the goal costs
# less; "impossible" could not be built, with the reason; "lost" went with its worker.
Verdict = Literal["meets", "fails", "dominated", "impossible", "lost"]
# Where it came from: a recipe known to be good, the knapsack of a scan, the sampler, training, or a dearer setting.
Origin = Literal["known", "knapsack", "sampler", "trained", "polished"]


@dataclass(frozen=True)
class Candidate:
    """Steps that a search looked at.

    Attributes:
        number: Its place among all, from 1.
        steps: What is done to the state that the search began at.
        origin: Where it came from.
        verdict: What the search says of it.
        score: On the part of validation that the search looks at; None if it was not scored.
        costs: Quantity to its value; of a latency the part of the baseline's that is left.
        latency: By runtime, where it was timed.
        expected: What single parts' damages add up to, None where there was no scan of it.
        knobs: What the sampler had set, by name.
        study: Which of the sampler's studies these knobs are of.
        seconds: How long it took.
        reason: Why it is impossible, lost or fails by more than its score.
        final: On all of validation, exact; of those that were compared last.
        held_out: On the part of validation that the search never looked at, likewise.
    """

    number: int
    steps: tuple[Step, ...]
    origin: Origin
    verdict: Verdict
    score: Score | None = None
    costs: Mapping[str, float] = field(default_factory=dict)
    latency: Mapping[str, Latency] = field(default_factory=dict)
    expected: float | None = None
    knobs: Mapping[str, float | str] = field(default_factory=dict)
    study: str = ""
    seconds: float = 0.0
    reason: str = ""
    final: Score | None = None
    held_out: Score | None = None

    @property
    def best_score(self) -> Score | None:
        """The score that says most: the last one where there is one."""
        return self.final or self.score

    def facts(self) -> dict[str, Any]:
        """Return the candidate as plain JSON."""
        plain = {name: value for name, value in vars(self).items() if name not in ("steps", "latency", *SCORES)}
        scores = {name: vars(value) if (value := getattr(self, name)) else None for name in SCORES}
        latency = {name: vars(value) for name, value in self.latency.items()}
        return {
            **plain,
            "costs": dict(self.costs),
            "knobs": dict(self.knobs),
            "steps": [step.facts() for step in self.steps],
            "latency": latency,
            **scores,
        }

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> Candidate:
        """Return the candidate of plain JSON.

        Raises:
            WorkbenchError: It is none.
        """
        try:
            if facts["verdict"] not in get_args(Verdict) or facts["origin"] not in get_args(Origin):
                raise WorkbenchError("this is no candidate: its verdict or origin is not known")
            scores = {name: Score.read(facts[name]) if facts.get(name) else None for name in SCORES}
            return cls(
                number=int(facts["number"]),
                steps=tuple(read_step(step, number) for number, step in enumerate(facts["steps"], 1)),
                origin=cast(Origin, facts["origin"]),
                verdict=cast(Verdict, facts["verdict"]),
                costs={str(name): float(value) for name, value in facts["costs"].items()},
                latency={str(name): Latency.read(value) for name, value in facts["latency"].items()},
                expected=None if facts["expected"] is None else float(facts["expected"]),
                knobs=dict(facts["knobs"]),
                study=str(facts["study"]),
                seconds=float(facts["seconds"]),
                reason=str(facts["reason"]),
                **scores,
            )
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
            raise WorkbenchError(f"this is no candidate: {error!r} is missing or wrong") from error


SCORES = ("score", "final", "held_out")


def dominates(one: Mapping[str, float], other: Mapping[str, float], quantities: tuple[str, ...]) -> bool:
    """Return whether `one` costs no more than `other` in any of some quantities that are known of both."""
    known = [name for name in quantities if name in one and name in other]
    return bool(known) and len(known) == len(quantities) and all(one[name] <= other[name] for name in known)
