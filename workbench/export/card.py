"""The folder's README: a model card made from the record, every number from a measurement in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench import numbers
from workbench.measure import HOW, Measurement, Score
from workbench.recipe import Recipe
from workbench.runtimes import TITLES


def card(record: Mapping[str, Any], recipe: Recipe) -> str:
    """Return the model card as Markdown."""
    before, after = Measurement.read(record["baseline"]), Measurement.read(record["current"])
    name = _plain(record["subject"]["name"])
    rows = [
        ("Validation score", numbers.score(before.score), numbers.score(after.score), HOW["score"]),
        ("File size", numbers.size(before.bytes.total), numbers.size(after.bytes.total), HOW["bytes"]),
        ("Parameters", numbers.count(before.params), numbers.count(after.params), HOW["params"]),
        ("Parameters not zero", numbers.count(before.nonzero), numbers.count(after.nonzero), HOW["nonzero"]),
        ("MACs a sample", numbers.count(before.macs), numbers.count(after.macs), HOW["macs"]),
        (
            "Peak memory",
            numbers.size(before.peak_memory),
            numbers.size(after.peak_memory),
            HOW["peak_memory"],
        ),
        ("Energy a sample", numbers.joules(before.energy), numbers.joules(after.energy), HOW["energy"]),
    ]
    for runtime, found in after.latency.items():
        # The baseline's time of the same pairs: one from another moment would not fit the ratio.
        old = numbers.seconds(found.baseline_median)
        rows.append(
            (
                f"Latency, {TITLES.get(runtime, runtime)}",
                old,
                f"{numbers.seconds(found.median)}, {numbers.verdict(found)}",
                HOW["latency"],
            )
        )
    lines = [f"# {name}, compressed", "", f"From `{name}` by {len(recipe)} steps (`recipe.json`).", ""]
    if record["test"]:
        test, base = Score(**record["test"]), Score(**record["test_baseline"])
        lines += [
            f"Test score, scored once: **{numbers.score(test)}**; the original's: {numbers.score(base)}.",
            "",
        ]
    lines += ["| | original | compressed | how |", "|---|---|---|---|"]
    lines += [f"| {what} | {old} | {new} | {how} |" for what, old, new, how in rows]
    lines += ["", "## Where the bytes went", "", "| | bytes |", "|---|---:|"]
    lines += [f"| {what} | {count:+,} |" for what, count in after.bytes.ledger]
    lines += [f"| **model.safetensors** | **{after.bytes.total:,}** |", "", "## Steps", "", "```python"]
    lines += [*recipe.code().splitlines(), "```", "", "## Reloaded and compared", ""]
    lines += [
        "| file | runtime | bytes | score | expected | same predictions | samples |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    unit = after.score.unit
    lines += [
        f"| {row['file']} | {row['runtime']} | {row['bytes']:,} | {numbers.score_value(row['score'], unit)} "
        f"| {numbers.score_value(row['expected'], unit)} | {row['agreement']:.2%} | {row['n']:,} |"
        for row in record["verified"]
    ]
    lines += [f"\n- {_plain(note)}" for note in after.notes]
    lines += [
        "",
        "```python",
        "import workbench as wb",
        'subject = wb.load("this/folder", task=...)',
        "```",
        "",
    ]
    return "\n".join(lines)


def _plain(text: str) -> str:
    """Return untrusted text without what Markdown or HTML would act on."""
    return "".join(character for character in text if character not in "`<>|[]\\\n")
