"""The time of candidates that keep the score, in turns with the untouched model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from workbench.errors import first_line
from workbench.measure import Latency, compare
from workbench.measure.runtimes import RUNTIMES, Forward
from workbench.search.goal import LATENCY, Goal
from workbench.search.planner.candidate import Verdict
from workbench.steps import Context, State


@dataclass(frozen=True)
class Timing:
    """What models are timed with.

    Attributes:
        baselines: The untouched model, prepared for every runtime that a goal speaks of.
        seconds: Time for each comparison.
        batch: Samples in one pass.
    """

    baselines: Mapping[str, Forward] = field(default_factory=dict)
    seconds: float = 1.0
    batch: int = 1

    def latency(self, state: State, context: Context) -> tuple[dict[str, Latency], dict[str, str]]:
        """Return the latency of a state by runtime, and of those that cannot run it why.

        Raises:
            Cancelled: The context's progress was told to stop.
        """
        found, refused = dict[str, Latency](), dict[str, str]()
        inputs = context.subject.task.example(self.batch)
        for name, baseline in self.baselines.items():
            try:
                forward = RUNTIMES[name].prepare_there(state, context.example())
            except Exception as error:  # a runtime refuses a model in its own ways; it has no time there then
                refused[name] = first_line(error)
                continue
            quiet = context.progress.silent()
            found[name] = compare(name, baseline, forward, inputs, seconds=self.seconds, progress=quiet)
        return found, refused


def costs_of_time(latency: Mapping[str, Latency]) -> dict[str, float]:
    """Return the part of the baseline's time that is left, by quantity; what is unknown is left out."""
    return {f"{LATENCY}{name}": 1 / one.ratio for name, one in latency.items() if one.verdict != "unknown"}


def within_time(latency: Mapping[str, Latency], refused: Mapping[str, str], goal: Goal) -> tuple[Verdict, str]:
    """Return whether times are known and keep a goal's limits, with their whole intervals, and why not."""
    for name in goal.runtimes:
        limit, one = goal.limits.get(f"{LATENCY}{name}"), latency.get(name)
        if one is None or one.verdict == "unknown":
            return "fails", f"its time on {name} is not known: {one.reason if one else refused.get(name, '')}"
        longest = one.baseline_median / one.ratio_low
        if limit is not None and longest > limit:
            return "fails", f"its time on {name} may be {longest:.3g} s, not {limit:g} s"
    return "meets", ""
