"""How the cost of a scan grows with depth and with samples, and that of each step with parameters: `make bench`.

The latter alone: `pytest tests/benchmarks/test_growth.py -k parameters -s --override-ini=addopts=`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import workbench as wb
from tests.benchmarks.cifar_net import ResNet
from tests.benchmarks.step_cost import BY_DEPTH, NAMES
from workbench.loading.embedded.digits_data import jitter, normalise, originals_of
from workbench.measure import refer
from workbench.measure.evaluator import Evaluator
from workbench.search.sensitivity import scan
from workbench.search.trials import TrialContext
from workbench.steps import Context, FineTune, Prune, State
from workbench.task.samples import ArraySamples

AMOUNTS = (0.3, 0.6, 0.9)
DEPTHS, SIZES = (8, 20, 32, 56), (1_000, 10_000, 50_000)
PARAMETERS = (1e5, 1e6, 1e7, 1e8)
LAYERS = (10, 100, 1_000)
EACH = 4_096  # parameters of a layer, where layers are counted
SLOW = ("Quantize, second order", "Factorize")  # whose work grows faster than the parameters; up to 10 million


def digits(count: int, seed: int) -> ArraySamples:
    """Return fresh jitter of the digits, as many as wanted."""
    pixels, labels = originals_of("train")
    chosen = np.resize(np.arange(len(labels)), count)
    return ArraySamples(normalise(jitter(pixels[chosen], np.random.default_rng(seed))), labels[chosen])


def row(subject: wb.Subject) -> dict[str, float]:
    """Return what a scan of every layer costs, beside the baseline's pass that both ways need."""
    start = time.perf_counter()
    evaluator, state = Evaluator(subject.task.split("validation")), State(subject.model)
    trial_context = TrialContext(state, Context(subject), refer(evaluator, state, subject.task.metric), evaluator)
    middle = time.perf_counter()
    table = scan(trial_context, Prune(), AMOUNTS)
    end = time.perf_counter()
    layers, points = len(table.targets), len(table.points)
    return {
        "layers": layers,
        "samples": trial_context.reference.total,
        "score": trial_context.reference.score.value,
        "baseline, s": middle - start,
        "scan, s": end - middle,
        "point, ms": 1e3 * (end - middle) / points,
        "mean n": sum(point.score.n for point in table.points) / points,
        "kept, MB": evaluator.prefixes.peak / 1e6,
    }


@pytest.fixture(scope="module")
def train() -> ArraySamples:
    return digits(6_000, 1)


def test_growth(train: ArraySamples, publish, pytestconfig: pytest.Config) -> None:
    """Nets of the same family, each trained for an epoch on the same samples; then one net and more samples."""
    by_depth, validation = [], digits(2_400, 2)
    for depth in DEPTHS:
        torch.manual_seed(0)
        net = ResNet((depth - 2) // 6, channels=1)
        subject = wb.Subject(f"resnet{depth}", net.eval(), wb.Task(train=train, validation=validation))
        trained = FineTune(epochs=1).build(State(net), Context(subject)).model
        by_depth.append({"depth": depth, **row(wb.Subject(f"resnet{depth}", trained, subject.task))})
    publish("growth with depth", by_depth)
    model = wb.load("digits-resnet").model
    by_size = [row(wb.Subject("digits", model, wb.Task(validation=digits(size, 3)))) for size in SIZES]
    publish("growth with samples", by_size)
    draw(by_depth, by_size, Path(pytestconfig.rootpath) / "out" / "benchmarks" / "growth.html")


def cost(parameters: float, name: str, depth: int | None = None) -> dict[str, Any]:
    """Return what a piece of work takes, in a process of its own, so that it does not stand on another's memory."""
    line = [sys.executable, "-W", "ignore", "-m", "tests.benchmarks.step_cost", str(parameters), name]
    done = subprocess.run(line + ([str(depth)] if depth else []), capture_output=True, text=True, check=True)
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(row, flush=True)
    return row


def test_growth_with_parameters(publish, pytestconfig: pytest.Config) -> None:
    rows = [
        cost(parameters, name) for name in NAMES for parameters in (PARAMETERS if name not in SLOW else PARAMETERS[:-1])
    ]
    publish("growth with parameters", rows)
    draw_against(rows, "parameters", Path(pytestconfig.rootpath) / "out" / "benchmarks" / "growth-parameters.html")


def test_growth_with_layers(publish, pytestconfig: pytest.Config) -> None:
    rows = [cost(layers * EACH, name, layers) for name in BY_DEPTH for layers in LAYERS]
    publish("growth with layers", rows)
    draw_against(rows, "layers", Path(pytestconfig.rootpath) / "out" / "benchmarks" / "growth-layers.html")


def draw_against(rows: list[dict[str, Any]], what: str, path: Path) -> None:
    """Write seconds, and memory beside the model in models, of each piece of work against parameters or layers."""
    from bokeh.embed import file_html
    from bokeh.layouts import row as side_by_side
    from bokeh.palettes import Category20
    from bokeh.plotting import figure
    from bokeh.resources import INLINE

    names, plots = list(dict.fromkeys(entry["work"] for entry in rows)), []
    for field, title, scale in (("s", "seconds", "log"), ("models", "memory, models", "linear")):
        plot = figure(
            x_axis_label=what, y_axis_label=title, x_axis_type="log", y_axis_type=scale,
            width=600, height=440, toolbar_location=None,
        )  # fmt: skip
        for name, color in zip(names, Category20[len(names)], strict=False):
            points = [(entry[what], entry[field]) for entry in rows if entry["work"] == name]
            plot.line(*zip(*points, strict=True), color=color, line_width=2, legend_label=name)
        plot.legend.location = "top_left"
        plots.append(plot)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(file_html(side_by_side(plots), INLINE, f"growth with {what}"), encoding="utf-8")


def draw(by_depth: list[dict[str, float]], by_size: list[dict[str, float]], path: Path) -> None:
    """Write both tables as a plot; the dashed line is what linear growth from the first row would be."""
    from bokeh.embed import file_html
    from bokeh.layouts import row as side_by_side
    from bokeh.models import NumeralTickFormatter
    from bokeh.plotting import figure
    from bokeh.resources import INLINE

    plots = []
    for rows, key, title in ((by_depth, "depth", "layers deep"), (by_size, "samples", "samples to validate on")):
        plot = figure(
            title=f"Scan of every layer at {len(AMOUNTS)} amounts; dashed: linear growth",
            x_axis_label=title, y_axis_label="seconds",
            x_axis_type="log", y_axis_type="log", width=560, height=400, toolbar_location=None,
        )  # fmt: skip
        xs = [entry[key] for entry in rows]
        plot.xaxis.ticker, plot.xaxis.formatter = xs, NumeralTickFormatter(format="0,0")
        for field, color in (("scan, s", "#0072b2"), ("baseline, s", "#d55e00")):
            ys = [entry[field] for entry in rows]
            plot.line(xs, ys, color=color, line_width=2, legend_label=field.partition(",")[0])
            plot.scatter(xs, ys, color=color, size=8)
            plot.line(xs, [ys[0] * x / xs[0] for x in xs], color=color, line_dash="dashed", alpha=0.6)
        plot.legend.location = "top_left"
        plots.append(plot)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(file_html(side_by_side(plots), INLINE, "growth"), encoding="utf-8")
