"""How fast numbers follow an edit, against the plain way, interleaved in one process: `make bench`.

The plain way is what a script does: build the edited model, run all of it on all samples in batches of 64.
"""

from __future__ import annotations

import random
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import psutil
import pytest
import torch

import workbench as wb
from workbench.measure import anytime, refer
from workbench.measure.evaluator import Evaluator
from workbench.measure.runtimes import onnx
from workbench.measure.strata import stratify
from workbench.search.sensitivity import scan
from workbench.search.trials import Tolerance, TrialContext
from workbench.steps import Context, Prune, PruneChannels, Quantize, State
from workbench.steps.recipe import Recipe, run
from workbench.task.metric import Metric
from workbench.task.named import margins

AMOUNTS = tuple(number / 10 for number in range(1, 10))
AS_JUDGED = Metric("as judged", lambda outputs, _: outputs, "%", bounds=(0.0, 1.0))


def score_plainly(model: torch.nn.Module, samples, batch: int = 64) -> float:
    """Return the accuracy by the usual loop."""
    right = 0
    with torch.inference_mode():
        for start in range(0, len(samples), batch):
            (inputs,), labels = samples.batch(range(start, min(start + batch, len(samples))))
            right += int((model(inputs).argmax(1) == labels).sum())
    return right / len(samples)


def edit(subject: wb.Subject, step) -> State:
    return run(subject, Recipe((step,)))


@contextmanager
def seconds() -> Iterator[list[float]]:
    found: list[float] = []
    start = time.perf_counter()
    yield found
    found.append(time.perf_counter() - start)


@contextmanager
def peak_memory() -> Iterator[list[int]]:
    """Give the most that this process took beyond what it had, in bytes, looked at every 5 ms."""
    process, stop, found = psutil.Process(), threading.Event(), []
    start = process.memory_info().rss
    most = [start]

    def watch() -> None:
        while not stop.wait(0.005):
            most[0] = max(most[0], process.memory_info().rss)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join()
        found.append(most[0] - start)


def open_ground(subject: wb.Subject, memory: int | None = None) -> TrialContext:
    evaluator, state = Evaluator(subject.task.split("validation"), memory), State(subject.model)
    reference = refer(evaluator, state, subject.task.metric)
    return TrialContext(state, Context(subject), reference, evaluator)


def test_a_sensitivity_scan(subject: wb.Subject, publish) -> None:
    """Every layer at nine amounts, each within ±1 point or a tenth of its drop; one layer, one plain pass, in turn."""
    score_plainly(subject.model, subject.task.split("validation"))  # kernels are built before anything is timed
    with seconds() as survey:
        trial_context = open_ground(subject)
    ours, plain, held, samples = [], [], [], []
    layers = trial_context.context.layers(subject.model)
    for layer in layers:
        with seconds() as took:
            table = scan(trial_context, Prune(layers=layer.name), AMOUNTS)
        ours.append(took[0])
        samples += [point.score.n for point in table.points]
        assert all(Tolerance().excess(point.score) <= 1 for point in table.points)
        checked = table.points[random.Random(len(ours)).randrange(len(AMOUNTS))]  # noqa: S311
        with seconds() as took:
            model = edit(subject, Prune(layers=layer.name, amount=checked.strength)).model.eval()
            truth = score_plainly(model, trial_context.reference.samples)
        plain.append(took[0])
        held.append(checked.score.low - 1e-9 <= truth <= checked.score.high + 1e-9)
    points = len(layers) * len(AMOUNTS)
    whole = statistics.mean(plain) * points
    publish(
        f"scan of {subject.name}",
        [
            {
                "points": points,
                "of samples": trial_context.reference.total,
                "plain, s": whole,
                "ours, s": sum(ours),
                "ratio": whole / sum(ours),
                "with the baseline's pass": (whole + statistics.mean(plain)) / (sum(ours) + survey[0]),
                "mean n": statistics.mean(samples),
                "intervals that held": f"{sum(held)} of {len(held)}",
                "batch": trial_context.evaluator.batch,
                "kernels": trial_context.evaluator.layout,
                "kept, MB": trial_context.evaluator.prefixes.peak / 1e6,
            }
        ],
    )


def test_a_slider(subject: wb.Subject, publish) -> None:
    """From the move to the first estimate, on the session's worker thread, over 200 moves of random layers."""
    session = wb.Session(subject, autosave=None)
    session.reference()
    seen, first = threading.Event(), []

    def look(change) -> None:
        if change.new is not None and change.new.score is not None and not seen.is_set():
            first.append(time.perf_counter())
            seen.set()

    session.observe(look, "staged")
    chance, times, plain = random.Random(0), [], []  # noqa: S311
    names = [layer.name for layer in session.layers]
    for number in range(210):
        seen.clear()
        start = time.perf_counter()
        session.preview(Prune(layers=chance.choice([*names, "*"]), amount=chance.uniform(0.05, 0.95)))
        assert seen.wait(60)
        times.append(first[-1] - start)
        time.sleep(chance.uniform(0.0, 0.15))  # the next move comes while later stages of this one run
        if number % 70 == 0:
            session.take_back()
            with seconds() as took:
                score_plainly(subject.model, subject.task.split("validation"))
            plain += took
    session.close()
    times = sorted(times[10:])
    publish(
        f"slider on {subject.name}",
        [
            {
                "moves": len(times),
                "median, ms": 1e3 * statistics.median(times),
                "p95, ms": 1e3 * times[int(0.95 * len(times))],
                "worst, ms": 1e3 * times[-1],
                "plain pass, ms": 1e3 * statistics.median(plain),
                "ratio": statistics.median(plain) / statistics.median(times),
            }
        ],
    )


def test_the_exact_score_of_a_late_layer(subject: wb.Subject, publish) -> None:
    """All samples after an edit of one of the last layers: the first time, and when what enters it is kept."""
    trial_context, rows = open_ground(subject), []
    everything = torch.split(torch.arange(trial_context.reference.total), trial_context.evaluator.batch)
    samples = trial_context.reference.samples
    convolutions = [layer.name for layer in trial_context.context.layers(subject.model)]
    for name in (convolutions[-1], convolutions[-2], convolutions[-4], convolutions[len(convolutions) // 2]):
        first, again, plain = [], [], []
        for turn in range(3):
            if turn:
                trial_context = open_ground(subject)
            for times in (first, again):
                step = Prune(layers=name, amount=0.5 + 0.1 * turn)
                overlay = {
                    key: change.weight
                    for key, change in step.changes(trial_context.state, trial_context.context).items()
                }
                with seconds() as took:
                    predict = trial_context.evaluator.prepare(trial_context.state, overlay)
                    outputs = torch.cat([predict(part)[0] for part in everything])
                times += took
            with seconds() as took:
                score_plainly(subject.model, samples)
            plain += took
        with torch.inference_mode():
            wanted = edit(subject, step).model.eval()(*samples.batch(range(64))[0])
        assert torch.allclose(outputs[:64], wanted, rtol=1e-3, atol=1e-3)
        middle = statistics.median(plain)
        rows.append(
            {
                "layer": name,
                "plain pass, s": middle,
                "first time, s": statistics.median(first),
                "ratio": middle / statistics.median(first),
                "again, s": statistics.median(again),
                "ratio again": middle / statistics.median(again),
            }
        )
    publish(f"exact score of an edit in {subject.name}", rows)


def test_onnx_latency_without_an_export(subject: wb.Subject, publish) -> None:
    """After a channel-pruning edit: from the state to a session of ONNX Runtime, with the kept graph and without."""
    example, kept, plain = subject.task.example(2), [], []
    onnx.prepare(State(subject.model), example)
    for amount in (0.2, 0.4, 0.6, 0.3, 0.5):
        state = edit(subject, PruneChannels(amount=amount))
        with seconds() as took:
            ours = onnx.prepare(state, example)
        kept += took
        graphs = dict(onnx._graphs)
        onnx._graphs.clear()
        with seconds() as took:
            anew = onnx.prepare(state, example)
        plain += took
        onnx._graphs.clear()
        onnx._graphs.update(graphs)
        inputs = subject.task.split("validation").batch(range(64))[0]
        torch.testing.assert_close(ours(inputs), anew(inputs), rtol=1e-4, atol=1e-4)
    publish(
        f"onnx of {subject.name}",
        [
            {
                "export, s": statistics.median(plain),
                "kept graph, s": statistics.median(kept),
                "ratio": statistics.median(one / other for one, other in zip(plain, kept, strict=True)),
            }
        ],
    )


@pytest.mark.parametrize("megabytes", [64, 256, 1024])
def test_the_memory_of_a_scan(subject: wb.Subject, publish, megabytes: int) -> None:
    """The most that the process takes beyond what it had before the scan, against the bound that was set."""
    bound = megabytes * 10**6
    trial_context = open_ground(subject, bound)
    trial_context.evaluator.prefixes.clear()
    with peak_memory() as extra, seconds() as took:
        scan(trial_context, Prune(), (0.3, 0.6, 0.9))
    publish(
        f"memory of a scan of {subject.name} in {megabytes} MB",
        [
            {
                "bound, MB": megabytes,
                "kept, MB": trial_context.evaluator.prefixes.peak / 1e6,
                "process, MB": extra[0] / 1e6,
                "scan, s": took[0],
            }
        ],
    )
    assert trial_context.evaluator.prefixes.peak <= bound


def random_edits(names: list[str], count: int) -> Iterator[Prune | Quantize]:
    """Yield edits of one layer or of all, from harmless to ruinous."""
    chance = random.Random(1)  # noqa: S311
    for _ in range(count):
        layers = "*" if chance.random() < 0.15 else chance.choice(names)
        if chance.random() < 0.6:
            yield Prune(layers=layers, amount=chance.uniform(0.05, 0.95) * (0.7 if layers == "*" else 1.0))
        else:
            granularity = chance.choice(["channel", "tensor"])
            yield Quantize(layers=layers, bits=chance.randint(2, 6), granularity=granularity)


def test_coverage(subject: wb.Subject, publish) -> None:
    """Of 400 random edits: how often the interval at every stage, and at all stages at once, holds the exact score."""
    trial_context = open_ground(subject)
    reference, everything = trial_context.reference, torch.arange(trial_context.reference.total)
    pieces = [trial_context.evaluator.prepare(trial_context.state)(part) for part in torch.split(everything, 256)]
    outputs, labels = (torch.cat(parts) for parts in zip(*pieces, strict=True))
    margin, held, together = margins(outputs, labels), {}, []
    names = [layer.name for layer in trial_context.context.layers(subject.model)]
    steps = sorted(random_edits(names, 400), key=lambda step: step.layers)
    for seed, step in enumerate(steps):
        overlay = {
            key: change.weight for key, change in step.changes(trial_context.state, trial_context.context).items()
        }
        predict = trial_context.evaluator.prepare(trial_context.state, overlay)
        judged = [
            reference.metric.judge(*predict(part)) for part in torch.split(everything, trial_context.evaluator.batch)
        ]
        results = torch.cat(judged).double()
        truth = float(results.mean())
        strata = stratify(reference.results, margin, reference.metric, seed)
        mine = replace(reference, metric=AS_JUDGED, strata=strata)
        looks = list(anytime(lambda numbers, found=results: (found[numbers], numbers), mine))
        right = [look.low - 1e-9 <= truth <= look.high + 1e-9 for look in looks]
        for stage, holds in enumerate(right):
            held.setdefault(stage, []).append((holds, looks[stage].n))
        together.append(all(right))
    rows = [
        {
            "stage": str(stage + 1),
            "mean n": statistics.mean(n for _, n in found),
            "edits": len(found),
            "held": sum(holds for holds, _ in found) / len(found),
        }
        for stage, found in held.items()
    ]
    rows.append({"stage": "all at once", "mean n": 0.0, "edits": len(together), "held": sum(together) / len(together)})
    publish(f"coverage on {subject.name}", rows)
