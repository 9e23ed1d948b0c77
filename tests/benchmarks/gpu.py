"""How long scan, preview, contest and training take on a device, beside the CPU, and whether scores agree: `make gpu`.

Below eight minutes on a GPU; what no time is left for is left out and said. It needs nothing but the embedded subjects.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial

import torch

import workbench as wb
from workbench.errors import WorkbenchError
from workbench.task.device import CPU, device_named, device_words

# What scores may differ by where two devices add in another order: one sample in 400.
TOLERANCE = 0.0025
AMOUNTS = (0.3, 0.6, 0.9)
CRITERIA = ("magnitude", "taylor", "wanda")
EXPORTED = ("safetensors", "onnx")
Row = tuple[str, float, float | None]


class Bench:
    """One session on one device.

    Args:
        subject: What is compressed.
        device: By name.
    """

    def __init__(self, subject: wb.Subject, device: str) -> None:
        settings = wb.Settings(seconds=0.2, device=device)
        self.session = wb.Session(subject, settings, threaded=False, autosave=None)

    def baseline(self) -> float:
        """Return the untouched score."""
        return self.session.reference().score.value

    def scan(self) -> float:
        """Return the mean score of each layer pruned at some amounts."""
        table = self.session.sensitivity(wb.Prune(), AMOUNTS)
        return statistics.fmean(point.score.value for point in table.points)

    def preview(self) -> float:
        """Return the exact score of a slider that was moved five times."""
        for amount in (0.5, 0.6, 0.7, 0.8, 0.75):
            self.session.preview(wb.Prune(amount=amount))
        return float(self.session.staged.score.value)

    def contest(self) -> float:
        """Return the mean score of what some criteria leave."""
        contest = self.session.contest(criteria=CRITERIA)
        return statistics.fmean(entry.mean for entry in contest.order)

    def gptq(self) -> float:
        """Return the score with four bits, rounded by second order."""
        step = wb.Quantize(bits=4, rounding="second-order")
        return float(self.session.apply(step).score.value)

    def trained(self, steps: Sequence[wb.Step]) -> float:
        """Return the score after steps that train, from the untouched model on."""
        self.session.go(0)
        for step in steps:
            measured = self.session.apply(step)
        return float(measured.score.value)


def training_rows(epochs: int) -> dict[str, tuple[wb.Step, ...]]:
    """Return what is trained, by its title."""
    return {
        "half of the MACs": (wb.PruneChannels(amount=0.3, importance="taylor"), wb.FineTune(epochs=epochs)),
        "90 % of the weights": (wb.PruneGradually(amount=0.9, epochs=epochs),),
        "two bits": (wb.Quantize(bits=2), wb.TrainQuantized(epochs=epochs)),
    }


def timed(work: Callable[[], float]) -> tuple[float, float]:
    """Return the seconds that work took, and what came out; it ends with numbers on the CPU, so all of it is done."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def compared(subject: wb.Subject, device: str, epochs: int, end: float) -> list[Row]:
    """Print a row of each kind of work on a device and on the CPU, and return those whose scores do not agree."""
    there, here = Bench(subject, device), Bench(subject, "cpu")
    work: dict[str, Callable[[Bench], float]] = {
        "baseline": Bench.baseline, "scan": Bench.scan, "five previews": Bench.preview,
        "contest": Bench.contest, "4 bits, second order": Bench.gptq,
        "one epoch": lambda bench: bench.trained((wb.FineTune(epochs=1),)),
    }  # fmt: skip
    wrong = []
    print(f"{'':24}{device + ', s':>12}{'cpu, s':>12}{'faster':>9}{'score':>10}{'on cpu':>10}{'agree':>8}")
    for title, do in work.items():
        (mine, score), (yours, other) = (timed(partial(do, bench)) for bench in (there, here))
        # Chance of training is another on each device, so that only what does not train has to agree.
        agrees = abs(score - other) <= TOLERANCE or title == "one epoch"
        words = "-" if title == "one epoch" else "yes" if agrees else "NO"
        print(
            f"{title:24}{mine:12.3f}{yours:12.3f}{yours / mine:8.1f}x{score:10.4f}{other:10.4f}{words:>8}", flush=True
        )
        wrong += [] if agrees else [(title, score, other)]
    each = mine  # of one epoch
    for title, steps in training_rows(epochs).items():
        if time.monotonic() + each * epochs > end:
            print(f"{title:24}left out: {epochs} epochs would take about {each * epochs:.0f} s more than is left")
            continue
        seconds, score = timed(partial(there.trained, steps))
        print(f"{title:24}{seconds:12.3f}{'-':>12}{'':9}{score:10.4f}   {epochs} epochs", flush=True)
    wrong += exported(there)
    return wrong


def exported(bench: Bench) -> list[Row]:
    """Export from the device, which verifies each file, and return a row if that fails."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            bench.session.export(f"{folder}/out", EXPORTED)
        except WorkbenchError as error:
            print(f"export: NO, {error}")
            return [("export", 0.0, None)]
    latency = bench.session.current.latency
    print(
        "export verified; "
        + ", ".join(f"{name} on {one.device} {1e3 * one.median:.3f} ms" for name, one in latency.items())
    )
    return []


def shortened(task: wb.Task, count: int) -> wb.Task:
    """Return a task with the first samples of its splits."""
    splits = {split: task.split(split).batch(range(count)) for split in ("train", "validation", "test")}
    return wb.Task(**{split: (inputs[0], targets) for split, (inputs, targets) in splits.items()})


def main() -> int:
    """Run on the device that is named, and return 1 if scores do not agree, 2 if there is no such device."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--epochs", type=int, default=100, help="of the training rows")
    parser.add_argument("--samples", type=int, default=0, help="of each split, for a quick try (default: all)")
    parser.add_argument("--seconds", type=float, default=440.0, help="in all, about")
    chosen = parser.parse_args()
    end = time.monotonic() + chosen.seconds
    try:
        device = device_named(chosen.device)
    except WorkbenchError as error:
        print(f"no GPU was measured: {error}; try it with --device cpu --epochs 1", file=sys.stderr)
        return 2
    print(f"torch {torch.__version__} on {device_words(device)}, beside {torch.get_num_threads()} threads of the CPU")
    if device == CPU:
        print("no GPU was measured: both columns are the CPU")
    subject = wb.load("digits-resnet")
    if chosen.samples:
        subject = wb.Subject(subject.name, subject.model, shortened(subject.task, chosen.samples))
    wrong = compared(subject, chosen.device, chosen.epochs, end)
    peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0
    print(
        f"scores agree within {TOLERANCE}: {'NO' if wrong else 'yes'}" + (f"; peak {peak / 1e6:.0f} MB" if peak else "")
    )
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
