"""Every number of the whole model, before and after."""

from __future__ import annotations

from workbench import formatting
from workbench.charts import latency_chart, ledger_chart
from workbench.charts.labels import runtime_title
from workbench.measure import HOW, Latency, Measurement, Score
from workbench.measure.record import Record
from workbench.report.blocks import (
    Block,
    Chart,
    Fragment,
    Notes,
    Prose,
    Section,
    Strong,
    Table,
    Verbatim,
)

LISTED = 5


def totals(record: Record) -> Section:
    """Return the table of all totals; each says whether it was measured or modelled."""
    before, after = Measurement.read(record["baseline"]), Measurement.read(record["current"])
    rows = [
        (
            f"{after.score.metric}, validation",
            formatting.score(before.score),
            formatting.score(after.score),
            HOW["score"],
        ),
        ("its change", "", formatting.change(after.score), HOW["score"]),
        *_test(record),
        ("file size", formatting.size(before.bytes.total), formatting.size(after.bytes.total), HOW["bytes"]),
        ("parameters", f"{before.params:,}", f"{after.params:,}", HOW["params"]),
        ("parameters that are not zero", f"{before.nonzero:,}", f"{after.nonzero:,}", HOW["nonzero"]),
        ("MACs a sample", f"{before.macs:,}", f"{after.macs:,}", HOW["macs"]),
        *((f"latency, {runtime_title(x.runtime)}", *_in_pairs(x), HOW["latency"]) for x in after.latency.values()),
        ("peak memory", formatting.size(before.peak_memory), formatting.size(after.peak_memory), HOW["peak_memory"]),
        *(
            [
                (
                    "input a sample",
                    formatting.size(before.input_bytes),
                    formatting.size(after.input_bytes),
                    HOW["input_bytes"],
                )
            ]
            if before.input_bytes != after.input_bytes
            else []
        ),
        ("energy a sample", formatting.joules(before.energy), formatting.joules(after.energy), HOW["energy"]),
    ]
    return Section([Table(("", "original", "compressed", "how"), rows, numeric=(1, 2))])


def _test(record: Record) -> list[tuple[str, str, str, str]]:
    if record["test"] is None:
        return []
    base, test = Score(**record["test_baseline"]), Score(**record["test"])
    return [
        (f"{test.metric}, test", formatting.score(base), formatting.score(test), HOW["score"]),
        ("its change", "", formatting.change(test), HOW["score"]),
    ]


def _in_pairs(latency: Latency) -> tuple[str, str]:
    """Return times of original and compressed from the same pairs: two measurements would compare two moments."""
    if latency.verdict == "baseline":
        return "", _time(latency)
    return formatting.latency(latency.baseline_median), f"{_time(latency)}; {formatting.verdict(latency)}"


def _time(latency: Latency) -> str:
    return f"{formatting.latency(latency.median)} ± {formatting.latency(latency.spread / 2)}"


def bytes_went(record: Record) -> Section:
    """Return the ledger from the original's file to this one, as a waterfall and a table that adds up."""
    size = Measurement.read(record["current"]).bytes
    first = size.ledger[0][1] or 1
    rows: list[tuple[str, str, str]] = [
        (
            what,
            f"{count:{'+' if n else ''},}".replace("-", "−"),
            formatting.minus(f"{count / first * 100:{'+' if n else ''}.1f} %"),
        )
        for n, (what, count) in enumerate(size.ledger)
    ]
    rows.append(("this file", f"{size.total:,}", formatting.percent(size.total / first, 1)))
    table = Table(("", "bytes", "of the original"), rows, numeric=(1, 2), last=True)
    caption = "Bytes of the file that an export writes. The rows add up to the last one exactly."
    return Section([Chart([("", ledger_chart(size).figure)], table, caption), *_untouched(record, size.total)])


def _untouched(record: Record, total: int) -> list[Block]:
    """Return what of the file no step has touched, by name and share; a record of an earlier release does not say."""
    rows = record.get("untouched", [])
    if not rows or not record["steps"]:
        return []
    share = sum(row["bytes"] for row in rows) / max(total, 1)
    said: list[Fragment] = [f"No step touched {formatting.percent(share, 1)} of this file: "]
    for number, row in enumerate(rows[:LISTED]):
        said += [
            ", " if number else "",
            Verbatim(row["name"]),
            f" ({formatting.percent(row['bytes'] / max(total, 1), 1)})",
        ]
    said.append(f" and {len(rows) - LISTED} more tensors." if len(rows) > LISTED else ".")
    return [Prose(said)]


def speed(record: Record) -> Section:
    """Return the ratios of times on each runtime with their intervals."""
    after = Measurement.read(record["current"])
    missing = [(Strong(runtime_title(name)), f" could not run it: {why}") for name, why in after.unavailable.items()]
    notes = [Notes(missing)] if missing else []
    if not after.latency:
        return Section([Prose("Latency could not be measured on any runtime."), *notes])
    rows = [
        (
            runtime_title(row.runtime),
            "" if row.verdict == "baseline" else formatting.latency(row.baseline_median),
            _time(row),
            formatting.verdict(row),
            f"batch {row.batch}, {row.threads} threads, {row.device}, {row.pairs:,} pairs"
            + (f", {row.disturbed:,} more were disturbed" if row.disturbed else ""),
        )
        for row in after.latency.values()
    ]
    table = Table(("runtime", "original", "compressed", "ratio of both", "measured with"), rows, numeric=(1, 2))
    caption = (
        "Original and compressed model ran in turn, as pairs, which a drift of the machine does not move; pairs that "
        "other programs disturbed do not count. The ratio is that of the two times beside it: medians over the middle "
        "half of the pairs by their ratio. The line through each point is the 95 % interval of the median ratio; after "
        "± stands half of the inter-quartile range."
    )
    return Section([Chart([("", latency_chart(after.latency).figure)], table, caption), *notes])
