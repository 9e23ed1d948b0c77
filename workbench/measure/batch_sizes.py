"""Latency against the number of samples in a batch: what is faster one by one need not be so by the hundred."""

from __future__ import annotations

from collections.abc import Sequence

from workbench.errors import WorkbenchError, first_line
from workbench.jobs.progress import Progress
from workbench.measure.latency import Latency
from workbench.measure.pairs import compare
from workbench.measure.runtimes import prepared
from workbench.steps import State
from workbench.task.task import Task

BATCHES = (1, 2, 4, 8, 16, 32, 64)


def time_batches(
    runtime: str,
    baseline: State,
    state: State,
    task: Task,
    sizes: Sequence[int] = BATCHES,
    *,
    seconds: float = 1.0,
    progress: Progress | None = None,
) -> tuple[Latency, ...]:
    """Return the latency of a state at each batch size, in turns with the baseline at the same size.

    Args:
        runtime: One of `RUNTIMES`.
        baseline: What to compare with.
        state: What is measured; the baseline itself for its own times.
        task: Gives the samples.
        sizes: Samples in a batch, rising.
        seconds: For each size.
        progress: Where progress is told, and cancelling asked.

    Raises:
        WorkbenchError: A size is below one, or the runtime does not take the model, or not so many samples.
        Cancelled: It was told to stop.
    """
    progress = progress or Progress()
    if not sizes or min(sizes) < 1:
        raise WorkbenchError(f"batches are of one sample or more, not of {', '.join(map(str, sizes)) or 'none'}")
    found = []
    try:
        example = task.example(min(sizes))
        before = prepared(runtime, baseline, example)
        after = before if state is baseline else prepared(runtime, state, example)
    except WorkbenchError:
        raise
    except Exception as error:  # a runtime refuses a model in its own ways
        raise WorkbenchError(f"{runtime} does not take the model: {first_line(error)}") from error
    for number, size in enumerate(sizes):
        part = progress.part(number / len(sizes), (number + 1) / len(sizes), f"{size} samples in a batch")
        part.update(0.0)
        try:
            found.append(compare(runtime, before, after, task.example(size), seconds=seconds, progress=part))
        except RuntimeError as error:  # of memory, or of a graph that fixes its batch
            raise WorkbenchError(f"{runtime} does not run with {size} samples: {first_line(error)}") from error
    return tuple(found)
