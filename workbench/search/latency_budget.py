"""A latency budget: the mildest form of a step with which the model is measured to be as fast as asked.

Latency depends on the machine and the hour, so it is no field of a step: what is found here is a step with plain
values, which a recipe holds and replays anywhere.
"""

from __future__ import annotations

import glob
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from workbench.errors import Cancelled, WorkbenchError
from workbench.measure.latency import Latency
from workbench.measure.pairs import compare
from workbench.measure.runtimes import RUNTIMES, Forward, title_of
from workbench.search.sensitivity import Table
from workbench.steps import State, Step
from workbench.steps.context import Context


def least_enough(most: int, enough: Callable[[int], bool]) -> int | None:
    """Return the least number from 0 to `most` that is enough, None if `most` is not; asks log2 of it times.

    What is more than enough is taken to be enough too.
    """
    low, high = 0, most + 1
    while low < high:
        middle = (low + high) // 2
        if enough(middle):
            high = middle
        else:
            low = middle + 1
    return high if high <= most else None


@dataclass(frozen=True)
class Clock:
    """What models are timed with, in turns with the untouched subject.

    Attributes:
        baseline: The subject, prepared for the runtime.
        inputs: One batch.
        runtime: One of `RUNTIMES`.
        seconds: Time for each comparison.
    """

    baseline: Forward
    inputs: tuple[Tensor, ...]
    runtime: str = "onnxruntime"
    seconds: float = 1.0

    def compare(self, state: State, context: Context) -> Latency:
        """Return the latency of a state against the baseline's."""
        candidate = RUNTIMES[self.runtime].prepare_there(state, context.example())
        quiet = context.progress.silent()
        return compare(self.runtime, self.baseline, candidate, self.inputs, seconds=self.seconds, progress=quiet)


def check_part(part: float) -> None:
    """Raise an error if this is no part of a latency that could go."""
    if not 0 < part < 1:
        raise WorkbenchError(f"the part of the latency that goes is a number between 0 and 1, not {part!r}")


def graded(step: Step) -> bool:
    """Return whether the step's strength goes by degrees; what integers count is another kind of thing at each.

    Raises:
        WorkbenchError: It has no strength.
    """
    return step.strength_option().type is float


def by_strength(step: Step) -> list[Step]:
    """Return a graded step at all its strengths, the mildest first."""
    option = step.strength_option()
    low, high, width = option.low or 0.0, option.high or 1.0, option.step or 0.01
    return [step.at_strength(round(low + number * width, 9)) for number in range(round((high - low) / width) + 1)]


def by_parts(step: Step, table: Table) -> list[Step]:
    """Return the step on one part of the model, on two and so on to all; those that lose least in a scan come first.

    Raises:
        WorkbenchError: It can be done on none.
    """
    points = sorted((point for point in table.points if math.isfinite(table.drop(point))), key=table.drop)
    if not points:
        raise WorkbenchError(f"{step.title} can be done on no part alone: {table.points[0].reason}")
    names = [glob.escape(point.target) for point in points]
    return [replace(step, layers=", ".join(names[:count]), exclude="") for count in range(1, len(names) + 1)]


def mildest(steps: Sequence[Step], state: State, context: Context, part: float, clock: Clock) -> tuple[Step, Latency]:
    """Return the first of steps that takes away `part` of the baseline's latency, and what was measured.

    The whole interval of the measured ratio has to reach it. About log2 of the steps are built and timed.

    Args:
        steps: One or more, from the mildest to the strongest.
        state: What they are done on; may be compressed already.
        context: Gives the subject and the seed, and is told of progress.
        part: Between 0 and 1; of 0.5 the model is twice as fast.
        clock: What they are timed with.

    Raises:
        WorkbenchError: Even the strongest is not enough; it says what was reached. Or the machine is too busy to tell.
        Cancelled: It was told to stop.
    """
    tried: dict[int, Latency] = {}
    refused: list[WorkbenchError] = []
    expected = len(steps).bit_length() + 1

    def enough(place: int) -> bool:
        number = len(tried) + len(refused)
        share = context.progress.part(min(number / expected, 1.0), min((number + 1) / expected, 1.0))
        share.update(0.0, f"look {number + 1} of about {expected}")
        try:
            candidate = steps[place].build(state, replace(context, progress=share))
        except Cancelled:
            raise
        except WorkbenchError as error:
            # So much cannot go at all, and less may.
            refused.append(error)
            return True
        tried[place] = clock.compare(candidate, replace(context, progress=share))
        if tried[place].busy:
            raise WorkbenchError(f"latency cannot be told now: {tried[place].reason}")
        return tried[place].ratio_low >= 1 / (1 - part)

    place = least_enough(len(steps) - 1, enough)
    if place is None or place not in tried:
        best = max((latency.ratio_low for latency in tried.values()), default=1.0)
        why = f" ({refused[-1]})" if refused else ""
        raise WorkbenchError(
            f"{steps[-1].title}: {part:.0%} of the latency on {title_of(clock.runtime)} cannot go; "
            f"at most {max(1 - 1 / best, 0):.0%} surely went{why}"
        )
    return steps[place], tried[place]
