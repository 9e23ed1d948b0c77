"""A latency budget: the least strength of a step at which the model is measured to be as fast as asked.

Latency depends on the machine and the hour, so it is no field of a step: what is found here is a step with a plain
strength, which a recipe holds and replays anywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from torch import Tensor

from workbench.context import Context
from workbench.errors import Cancelled, WorkbenchError
from workbench.measure.latency import Forward, Latency, compare
from workbench.runtimes import RUNTIMES, TITLES
from workbench.steps import State, Step


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


def paced(
    step: Step,
    state: State,
    context: Context,
    part: float,
    *,
    baseline: Forward,
    runtime: str = "onnxruntime",
    inputs: tuple[Tensor, ...],
    seconds: float = 1.0,
) -> tuple[Step, Latency]:
    """Return the step at the least strength that takes away `part` of the baseline's latency, and what was measured.

    Every strength that is tried is built and timed in turns with the baseline, about seven of them.

    Args:
        step: Its strength is varied, from its lowest to its highest value.
        state: What it is done on; may be compressed already.
        context: Gives the subject and the seed, and is told of progress.
        part: Between 0 and 1; of 0.5 the model is twice as fast.
        baseline: What is compared with, prepared for the runtime.
        runtime: One of `RUNTIMES`.
        inputs: One batch.
        seconds: Time for each comparison.

    Raises:
        WorkbenchError: The step has no strength, or even the largest is not enough; it says what was reached.
        Cancelled: It was told to stop.
    """
    if not 0 < part < 1:
        raise WorkbenchError(f"the part of the latency that goes is a number between 0 and 1, not {part!r}")
    if runtime not in RUNTIMES:
        raise WorkbenchError(f"the runtime is one of {', '.join(RUNTIMES)}, not {runtime!r}")
    grid = _grid(step)
    tried: dict[int, Latency] = {}
    refused: list[WorkbenchError] = []
    looks = len(grid).bit_length() + 1

    def enough(place: int) -> bool:
        number = len(tried) + len(refused)
        share = context.progress.part(min(number / looks, 1.0), min((number + 1) / looks, 1.0))
        share.update(0.0, f"{step.strength} {grid[place]:g}")
        try:
            made = step.at_strength(grid[place]).build(state, replace(context, progress=share))
        except Cancelled:
            raise
        except WorkbenchError as error:
            # So much cannot go at all, and less may.
            refused.append(error)
            return True
        candidate = RUNTIMES[runtime](made, context.example())
        tried[place] = compare(runtime, baseline, candidate, inputs, seconds=seconds, progress=share.silent())
        return tried[place].ratio >= 1 / (1 - part)

    place = least_enough(len(grid) - 1, enough)
    if place is None or place not in tried:
        best = max((found.ratio for found in tried.values()), default=1.0)
        why = f" ({refused[-1]})" if refused else ""
        raise WorkbenchError(
            f"{step.title}: {part:.0%} of the latency on {TITLES[runtime]} cannot go; "
            f"at most {1 - 1 / best:.0%} went{why}"
        )
    return step.at_strength(grid[place]), tried[place]


def _grid(step: Step) -> list[float]:
    """Return the strengths that can be tried, ascending."""
    found = step.strength_option()
    if found.type is not float:
        raise WorkbenchError(f"{step.title} has no strength that could be varied until the model is fast enough")
    low, high, width = found.low or 0.0, found.high or 1.0, found.step or 0.01
    return [round(low + number * width, 9) for number in range(round((high - low) / width) + 1)]
