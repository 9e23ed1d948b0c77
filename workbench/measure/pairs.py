"""Timing two models in turn, in one process, on one runtime.

A machine's speed drifts, so single times mean little. Baseline and candidate run as pairs, each first every other
time. Pairs in which something else took a processor away do not count (`disturbance.py`); where they are nearly all,
nothing is known.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from workbench.jobs.progress import Progress
from workbench.jobs.turn import TURN
from workbench.measure.device_clock import stopwatch_of
from workbench.measure.disturbance import OthersUse, Run
from workbench.measure.latency import BUSY, Latency, disturbed_words, summarize
from workbench.measure.runtimes import Forward, inputs_for, place_of
from workbench.task.batch import batch_size
from workbench.task.device import device_words

WARM_UP = 3
# Pairs that nothing disturbed, without which there is no verdict.
LEAST_PAIRS = 9
# And beside full processors they must be this part of all. Where they were a fifth, runs of two threads that were
# spared were off by 28 % in `tests/benchmarks/test_latency_under_load.py`.
LEAST_PART = 1 / 3
# On a busy machine pairs are tried for this many times as long: few are undisturbed, and what shares a core with the
# process changes from second to second.
PATIENCE = 4.0
# After a disturbed pair the process rests for so many seconds: schedulers give one that has slept a fresh slice.
REST = 0.003
# Undisturbed runs still share caches and memory with whatever fills the other processors. Ratios were then off by up to
# this part in `tests/benchmarks/test_latency_under_load.py`, so that intervals are wider by it.
ERROR = 0.15
# Processors that other programs may use beyond those that are left over.
SPARE = 0.5


def compare(
    runtime: str,
    baseline: Forward,
    candidate: Forward,
    inputs: tuple[Tensor, ...],
    *,
    seconds: float = 1.0,
    least: int = 15,
    most: int = 400,
    progress: Progress | None = None,
) -> Latency:
    """Return the candidate's latency against the baseline's, from interleaved pairs.

    Args:
        runtime: Name of the runtime that both run on.
        baseline: What to compare with; the same as `candidate` to measure a baseline.
        candidate: What is measured.
        inputs: One batch of the task, from any device; each gets it in its own form, which is not timed.
        seconds: About how long to measure; up to four times as long on a busy machine.
        least: Undisturbed pairs that are wanted however long they take, and pairs that are tried in any case.
        most: Undisturbed pairs that are enough however fast they are.
        progress: Where progress is told, and cancelling asked.
    """
    progress, device = progress or Progress(), place_of(candidate)
    earlier, later = inputs_for(baseline, inputs), inputs_for(candidate, inputs)
    for _ in range(WARM_UP):
        baseline(earlier)
        candidate(later)
    pairs: list[tuple[Run, Run]] = []
    calm, start, others = 0, time.perf_counter(), OthersUse()
    with stopwatch_of(device) as stopwatch:
        while calm < most and (len(pairs) < least or time.perf_counter() - start < PATIENCE * seconds):
            tried = len(pairs) >= least and time.perf_counter() - start >= seconds
            if tried and (others.quiet or (calm >= least and not _crowded(others))):
                break
            progress.check()
            with TURN:  # nothing else of this process computes while a pair is timed
                if len(pairs) % 2:
                    before = stopwatch.time(lambda: baseline(earlier))
                    after = stopwatch.time(lambda: candidate(later))
                else:
                    after = stopwatch.time(lambda: candidate(later))
                    before = stopwatch.time(lambda: baseline(earlier))
            pairs.append((before, after))
            if not (before.disturbed or after.disturbed) or others.quiet:
                calm += 1
            else:
                time.sleep(REST)
    if others.quiet:
        pairs = [(replace(before, waited=0.0), replace(after, waited=0.0)) for before, after in pairs]
    record = _judged(
        runtime, pairs, batch_size(inputs), baseline is candidate, crowded=_crowded(others), watched=stopwatch.watches
    )
    return replace(record, device=device_words(device))


def _crowded(others: OthersUse) -> bool:
    """Return whether other programs use more than the processors that are left over."""
    return others.cores() > (os.cpu_count() or 1) - torch.get_num_threads() + SPARE


def _judged(
    runtime: str, pairs: Sequence[tuple[Run, Run]], batch: int, same: bool, *, crowded: bool, watched: bool
) -> Latency:
    """Return the record of timed pairs, beside a crowd or not, of runs that could be watched or not."""
    calm = [(before, after) for before, after in pairs if not (before.disturbed or after.disturbed)]
    disturbed = len(pairs) - len(calm)
    reason = ""
    if crowded and not watched:
        reason = f"{BUSY} with other programs"
    elif disturbed and len(calm) < max(LEAST_PAIRS, LEAST_PART * len(pairs) if crowded else 0):
        reason = disturbed_words(disturbed, len(pairs))
    shown = pairs if len(calm) < min(LEAST_PAIRS, len(pairs)) else calm
    before, after = ([run.seconds for run in runs] for runs in zip(*shown, strict=True))
    return summarize(
        runtime, before, after, batch, same=same, disturbed=disturbed, reason=reason, error=ERROR if crowded else 0.0
    )
