"""Ratios of latency while other programs keep all processors busy: near those of a quiet machine, or unknown.

`pytest tests/benchmarks/test_latency_under_load.py -s --override-ini=addopts=`. A quiet machine's ratio is that of the
least times of many interleaved runs, or that of processor times, which no other program lengthens much; "off" is how
far a ratio lies outside of these two. Where other programs run already, it is they that make the rows of no busy
process.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median

import pytest
import torch

import workbench as wb
from workbench import formatting
from workbench.measure import compare
from workbench.measure.runtimes import RUNTIMES, Forward
from workbench.steps import State
from workbench.steps.recipe import Recipe, run

RECIPES = {
    "equal": Recipe(),
    "int8": Recipe((wb.Quantize(bits=8, activations=8),)),
    "half of the channels": Recipe((wb.PruneChannels(amount=0.5, round_to=4),)),
}
BUSY, REPEATS = (0, 4, 8), 5


@contextmanager
def busy(count: int) -> Iterator[None]:
    """Keep that many processes busy."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    time.sleep(0.5)
    try:
        yield
    finally:
        for one in running:
            one.kill()
            one.wait()


def quiet_ratios(baseline: Forward, candidate: Forward, inputs: tuple[torch.Tensor, ...]) -> tuple[float, float]:
    """Return the ratios of least times and of median processor times, from interleaved runs.

    Which of both runs first alternates, as where ratios are told: a model that follows itself finds its weights in the
    caches, which makes small ones up to a fifth faster.
    """
    clock: dict[Callable[[], float], tuple[list[float], list[float]]] = {
        time.perf_counter: ([], []),
        time.process_time: ([], []),
    }
    for number in range(800):
        for place, forward in ((0, baseline), (1, candidate))[:: -1 if number % 2 else 1]:
            starts = [read() for read in clock]
            forward(inputs)
            for start, (read, times) in zip(starts, clock.items(), strict=True):
                times[place].append(read() - start)
    least = [min(times) for times in clock[time.perf_counter]]
    processor = [median(times) for times in clock[time.process_time]]
    return least[0] / least[1], processor[0] / processor[1]


@pytest.mark.parametrize("runtime", ["onnxruntime", "eager"])
@pytest.mark.parametrize("threads", [1, 2])
def test_ratios_under_load(runtime: str, threads: int, publish) -> None:
    """Of an equal, an int8 and a smaller model, with 0, 4 and 8 busy processes: how often what is told, how near."""
    before, rows = torch.get_num_threads(), []
    torch.set_num_threads(threads)
    try:
        subject = wb.load("digits-resnet")
        inputs = subject.task.example(1)
        baseline = RUNTIMES[runtime].prepare(State(subject.model), inputs)
        models = {name: RUNTIMES[runtime].prepare(run(subject, recipe), inputs) for name, recipe in RECIPES.items()}
        quiet = {name: quiet_ratios(baseline, model, inputs) for name, model in models.items()}
        for count in BUSY:
            with busy(count):
                for name, model in models.items():
                    found = [compare(runtime, baseline, model, inputs, seconds=1.0) for _ in range(REPEATS)]
                    told = [one for one in found if one.verdict != "unknown"]
                    low, high = sorted(quiet[name])
                    off = [max(low / one.ratio - 1, one.ratio / high - 1, 0.0) for one in told]
                    rows.append(
                        {
                            "busy": count,
                            "model": name,
                            "quiet: least": quiet[name][0],
                            "quiet: processor": quiet[name][1],
                            "told": f"{len(told)} of {len(found)}",
                            "ratios": " ".join(f"{one.ratio:.2f}" for one in told),
                            "held": sum(one.ratio_low <= high and one.ratio_high >= low for one in told),
                            "off at most": max(off, default=float("nan")),
                            "pairs": sum(one.pairs for one in found),
                            "disturbed": sum(one.disturbed for one in found),
                            "first": formatting.verdict(found[0]),
                        }
                    )
    finally:
        torch.set_num_threads(before)
    publish(f"latency under load, {runtime}, {threads} of {os.cpu_count()} threads", rows)
