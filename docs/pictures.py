"""Pictures of methods, drawn from what they do to a model that comes along. Nothing in them is sketched."""

from __future__ import annotations

import io
from functools import cache

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import workbench as wb
from workbench.errors import WorkbenchError
from workbench.steps import Context, GraphStep, State, Step, TrainingStep, candidate

LAYER = "layer3.1.conv1"
SUBJECTS = ("digits-resnet", "digits-transformer")
# Read on white and on black.
INK, BEFORE, AFTER = "#808590", "#9fa8b8", "#5c6bc0"
# 255 values cannot be told from all values.
MILDER = {"quantize": {"bits": 4}}
# What these change is neither a histogram nor a number of parameters, or nothing without a choice of somebody's.
WITHOUT = (
    "byte_input", "correct_bias", "cut_channels", "entropy_code", "equalize", "fold_norms", "grey_input",
    "merge_factors", "reconstruct", "reduce_input_bits", "reestimate_norms", "resize_input", "smooth",
)  # fmt: skip


def picture(step: type[Step]) -> tuple[str, str] | None:
    """Return an SVG of what a step does and what it shows, None where no picture says more than words.

    A step that changes weights is shown by their histogram before and after, one that changes the model's shape by the
    parameters of its layers.
    """
    if step.kind in WITHOUT or issubclass(step, TrainingStep):
        return None
    only = {} if issubclass(step, GraphStep) else {"layers": LAYER}
    made = step(**only, **MILDER.get(step.kind, {}))
    for name in SUBJECTS:
        subject = _subject(name)
        before, context = State.of(subject), Context(subject)
        try:
            after, overlay = candidate(before, made, context)
        except WorkbenchError:
            continue  # it has no heads, for example
        setting = f"{step.strength}={getattr(made, step.strength):g}" if step.strength else "the defaults"
        if isinstance(made, GraphStep):
            return _sizes(
                before, after, context
            ), f"Parameters of the layers of {name}, before and after, with {setting}."
        parameter = f"{LAYER}.weight"
        values = before.parameter(parameter).flatten().numpy(), overlay[parameter].flatten().numpy()
        return _histograms(*values), f"Weights of {LAYER} of {name}, before and after, with {setting}."
    return None


@cache
def _subject(name: str) -> wb.Subject:
    return wb.load(name)


def _histograms(before: np.ndarray, after: np.ndarray) -> str:
    figure = Figure(figsize=(7, 2.6), layout="constrained")
    axes = figure.subplots()
    low, high = before.min(), before.max()
    bins = np.linspace(low, high, 160)
    axes.hist(before, bins, color=BEFORE, alpha=0.6, label="before", histtype="stepfilled")
    axes.hist(after, bins, color=AFTER, alpha=0.9, label="after", histtype="stepfilled")
    axes.set_yscale("log")
    axes.set_xlabel("weight")
    axes.set_ylabel("weights (log)")
    return _svg(figure, axes)


def _sizes(before: State, after: State, context: Context) -> str:
    old = {layer.name: layer.params for layer in context.layers(before.model)}
    new = dict.fromkeys(old, 0)
    for layer in context.layers(after.model):
        # Factors lie within the place of their layer.
        names = [name for name in old if layer.name.startswith(f"{name}.") and layer.name not in old]
        name = names[0] if names else after.origin(layer.name)
        new[name] = new.get(name, 0) + layer.params
    figure = Figure(figsize=(7, 2.8), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(old))
    axes.bar(places, list(old.values()), 0.8, color=BEFORE, alpha=0.6, label="before")
    axes.bar(places, [new[name] for name in old], 0.5, color=AFTER, label="after")
    axes.set_xticks(places, list(old), rotation=60, ha="right", fontsize=7)
    axes.set_ylabel("parameters")
    return _svg(figure, axes)


def _svg(figure: Figure, axes: Axes) -> str:
    axes.tick_params(colors=INK)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(INK)
    axes.legend(frameon=False, labelcolor=INK)
    file = io.StringIO()
    # The same picture for the same model: no date, no random names.
    with mpl.rc_context({"svg.hashsalt": "workbench", "svg.fonttype": "path"}):
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    return file.getvalue()
