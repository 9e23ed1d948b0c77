"""The folder's README: a model card made from the record, every number from a measurement in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench import formatting
from workbench.measure import HOW, Measurement, Score
from workbench.measure.runtimes import title_of
from workbench.steps.recipe import Recipe

# What `model.onnx` holds where activations and weights are integers of eight bits.
INTEGERS = {
    "INT8": (
        "`model.onnx` holds 8-bit weights as signed integers. Processors with instructions for it (VNNI and the like), "
        "as that where this was exported, multiply them exactly; on others ONNX Runtime adds two products in 16 bits, "
        "which may overflow: export there, or compare there."
    ),
    "UINT8": (
        "`model.onnx` holds 8-bit weights as unsigned integers, because the processor where this was exported does not "
        "multiply signed ones exactly. They give the same on every processor, and take longer than signed ones."
    ),
}


def card(record: Mapping[str, Any], recipe: Recipe, integers: str = "") -> str:
    """Return the model card as Markdown.

    Args:
        record: All that was measured.
        recipe: What was done.
        integers: How `model.onnx` holds weights that are multiplied with 8-bit activations: a key of `INTEGERS`, or ""
            where it holds none.
    """
    before, after = Measurement.read(record["baseline"]), Measurement.read(record["current"])
    name = _plain(record["subject"]["name"])
    rows = [
        ("Validation score", formatting.score(before.score), formatting.score(after.score), HOW["score"]),
        ("Its change", "", formatting.change(after.score), HOW["score"]),
        ("File size", formatting.size(before.bytes.total), formatting.size(after.bytes.total), HOW["bytes"]),
        ("Parameters", formatting.count(before.params), formatting.count(after.params), HOW["params"]),
        ("Parameters not zero", formatting.count(before.nonzero), formatting.count(after.nonzero), HOW["nonzero"]),
        ("MACs a sample", formatting.count(before.macs), formatting.count(after.macs), HOW["macs"]),
        (
            "Peak memory",
            formatting.size(before.peak_memory),
            formatting.size(after.peak_memory),
            HOW["peak_memory"],
        ),
        *(
            [
                (
                    "Input a sample",
                    formatting.size(before.input_bytes),
                    formatting.size(after.input_bytes),
                    HOW["input_bytes"],
                )
            ]
            if before.input_bytes != after.input_bytes
            else []
        ),
        ("Energy a sample", formatting.joules(before.energy), formatting.joules(after.energy), HOW["energy"]),
    ]
    for runtime, latency in after.latency.items():
        # The baseline's time of the same pairs: one from another moment would not fit the ratio.
        old = formatting.latency(latency.baseline_median)
        rows.append(
            (
                f"Latency, {title_of(runtime)}",
                old,
                f"{formatting.latency(latency.median)}, {formatting.verdict(latency)}",
                HOW["latency"],
            )
        )
    steps = "1 step" if len(recipe) == 1 else f"{len(recipe)} steps"
    lines = [f"# {name}, compressed", "", f"From `{name}` by {steps} (`recipe.json`).", ""]
    if record["test"]:
        test, base = Score(**record["test"]), Score(**record["test_baseline"])
        lines += [
            f"Test score, scored once: **{formatting.score(test)}**; the original's: {formatting.score(base)}; "
            f"the change: {formatting.change(test)}.",
            "",
        ]
    lines += ["| | original | compressed | how |", "|---|---|---|---|"]
    lines += [f"| {what} | {old} | {new} | {how} |" for what, old, new, how in rows]
    lines += ["", "## Where the bytes went", "", "| | bytes |", "|---|---:|"]
    lines += [f"| {what} | {count:+,} |" for what, count in after.bytes.ledger]
    lines += [f"| **model.safetensors** | **{after.bytes.total:,}** |", "", "## Steps", "", "```python"]
    lines += [*recipe.code().splitlines(), "```", "", "## Reloaded and compared", ""]
    lines += [
        "Each file was opened again in its runtime and scored on the number of validation samples in the last column; "
        "what was expected is the session's own score on the same ones. The file size above is that of "
        "`model.safetensors`; the others hold the same model for their runtimes, as small as their formats allow.",
        "",
        "| file | runtime | bytes | score | expected | same predictions | samples |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    unit = after.score.unit
    lines += [
        f"| {row['file']} | {row['runtime']} | {row['bytes']:,} | {formatting.score_value(row['score'], unit)} "
        f"| {formatting.score_value(row['expected'], unit)} | {formatting.percent(row['agreement'], 2)} "
        f"| {row['n']:,} |"
        for row in record["verified"]
    ]
    lines += [f"\n- {_plain(note)}" for note in after.notes]
    if integers in INTEGERS:
        lines += ["", INTEGERS[integers]]
    lines += ["", "## Use", "", *_use(record), ""]
    return "\n".join(lines)


def _use(record: Mapping[str, Any]) -> list[str]:
    """Return how each file is run, as code that works in the folder."""
    task, files = record["task"], {row["file"] for row in record["verified"]}
    said = [
        f"{entering['type']} [n, {', '.join(str(side) for side in entering['shape'])}]" for entering in task["inputs"]
    ]
    scaled = f"; of pixels / 255, less mean {task['mean']}, divided by std {task['std']}" if task["mean"] else ""
    fed = f", made of those of the original model: {_plain(task['fed'])}" if task.get("fed") else ""
    lines = [f"Inputs: {' and '.join(said)}{fed or scaled}. Zeros stand for them here.", ""]
    lines += [f"The original model's are{scaled.removeprefix(';')}.", ""] if fed and scaled else []
    shapes = [
        (entering["type"], ", ".join(str(side) for side in (1, *entering["shape"]))) for entering in task["inputs"]
    ]
    tensors = ", ".join(f"torch.zeros({shape}, dtype=torch.{kind})" for kind, shape in shapes)
    arrays = ", ".join(f"np.zeros(({shape}), dtype=np.{kind})" for kind, shape in shapes)
    if "model.safetensors" in files:
        lines += [
            *_code(
                "import torch", "import workbench as wb", 'model = wb.load_model(".")', f"outputs = model({tensors})"
            ),
            "To score it or to compress it further, open the folder in the workbench: `wb.load`, with a `wb.Task`.",
            "",
        ]
    if "model.onnx" in files:
        lines += _code(
            "import numpy as np",
            "import onnxruntime",
            'session = onnxruntime.InferenceSession("model.onnx")',
            f"arrays = [{arrays}]",
            "names = [given.name for given in session.get_inputs()]",
            "outputs = session.run(None, dict(zip(names, arrays)))",
        )
    if "model.pt2" in files:
        lines += _code("import torch", 'model = torch.export.load("model.pt2").module()', f"outputs = model({tensors})")
    return lines


def _code(*lines: str) -> list[str]:
    return ["```python", *lines, "```", ""]


def _plain(text: str) -> str:
    """Return untrusted text without what Markdown or HTML would act on."""
    return "".join(character for character in text if character not in "`<>|[]\\\n")
