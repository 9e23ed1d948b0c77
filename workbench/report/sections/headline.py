"""What was achieved, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench import formatting
from workbench.charts.labels import runtime_title
from workbench.measure import Latency, Measurement, Score
from workbench.measure.record import Record
from workbench.report.blocks import Fragment, Heading, Prose, Section, Strong, Tile, Tiles

GOOD, BAD, UNSURE = "good", "bad", "unsure"


def headline(record: Record) -> Section:
    """Return the title, the summary with its intervals, and the tiles."""
    before, after = Measurement.read(record["baseline"]), Measurement.read(record["current"])
    name, count = record["subject"]["name"], len(record["steps"])
    title = f"{name}, compressed" if count else f"{name}, untouched"
    what = record["task"]["name"] or record["task"]["metric"]["name"]
    steps = "no step was applied yet" if not count else "one step" if count == 1 else f"{count} steps"
    where = f"{what} · {steps} · seed {record['recipe']['seed']} · {record['made'][:16].replace('T', ' ')} UTC"
    return Section(
        [
            Heading(title),
            Prose(where, "byline"),
            *called(record),
            Prose([*size_words(before, after), *score_words(after.score), *test_words(record)], "lead"),
            Prose(speed_words(after.latency), "lead"),
            Tiles(tiles(before, after)),
        ]
    )


def called(record: Record) -> list[Prose]:
    """Return what people called the state, and what they noted of it: why it is this one, if they said so."""
    label: Mapping[str, Any] = next(
        (row.get("label", {}) for row in record.get("states", ()) if row["role"] == "current"), {}
    )
    name, note = label.get("name", ""), label.get("note", "")
    if not name and not note:
        return []
    return [Prose([*([Strong(name)] if name else []), f"{': ' if name and note else ''}{note}"], "lead")]


def size_words(before: Measurement, after: Measurement) -> list[Fragment]:
    """Return the sentence on the file's size."""
    old, new = before.bytes.total, after.bytes.total
    if old == new:
        return ["The file has ", Strong(formatting.size(new)), ", as the original's. "]
    ratio, word = (old / new, "smaller") if new < old else (new / old, "larger")
    return [
        "The file is ",
        Strong(f"{formatting.ratio(ratio)} {word}"),
        f": {formatting.size(old)} became {formatting.size(new)}. ",
    ]


def score_words(score: Score) -> list[Fragment]:
    """Return the sentences on the validation score and its change."""
    fragments: list[Fragment] = [
        f"On the {score.split} split its {score.metric} is ", Strong(formatting.score(score)), ", ",
        *change_words(score), ". ",
    ]  # fmt: skip
    return fragments


def change_words(score: Score) -> list[Fragment]:
    """Return how a score differs from the original's, and whether that is more than noise."""
    change = Strong(formatting.points(score.change, score.unit))
    if score.exact:
        other = f" ({words})" if (words := formatting.elsewhere(score)) else ""
        if not score.change:
            return [f"the same as the original's{other}"]
        return [change, f" against the original, with every sample scored{other}"]
    interval = formatting.change_interval(score)
    if not score.known:
        return [change, f" against the original {interval}"]
    if score.change_low <= 0 <= score.change_high:
        return [change, f" {interval} against the original: ", Strong("within noise")]
    return [change, f" {interval} against the original: more than noise"]


def test_words(record: Record) -> list[Fragment]:
    """Return the sentence on the test split, which says so if there is none."""
    if record["test"] is None:
        return ["The task has no test split, so nothing here was checked on data that no choice has seen."]
    test, base = Score(**record["test"]), Score(**record["test_baseline"])
    if not record["steps"]:
        return ["On the test split it is ", Strong(formatting.score(test)), "."]
    change = formatting.change(test)
    return [
        "On the test split, which steered nothing, it is ", Strong(formatting.score(test)),
        f"; the original's is {formatting.score(base)}, so the change is {change}.",
    ]  # fmt: skip


def speed_words(latency: Mapping[str, Latency]) -> list[Fragment]:
    """Return a sentence a runtime."""
    if not latency:
        return ["Latency could not be measured on any runtime."]
    fragments: list[Fragment] = []
    for row in latency.values():
        baseline = row.verdict == "baseline"
        before = "" if baseline else f", the original {formatting.latency(row.baseline_median)}"
        fragments += [
            f"On {runtime_title(row.runtime)} a batch of {row.batch} takes {formatting.latency(row.median)}{before}: ",
            Strong("it is the baseline" if baseline else formatting.verdict(row)),
            ". ",
        ]
    return fragments


def tiles(before: Measurement, after: Measurement) -> list[Tile]:
    """Return the numbers of the first screen."""
    score = after.score
    unclear = not score.exact and score.change_low <= 0 <= score.change_high
    worse = (score.change < 0) == score.higher_is_better and score.change != 0
    noise = ", within noise" if unclear and score.known else ""
    first = Tile(
        score.metric,
        formatting.score_value(score.value, score.unit),
        f"{formatting.change(score)}{noise}",
        tone=UNSURE if unclear or not score.change else BAD if worse else GOOD,
    )
    rows = (
        ("file size", before.bytes.total, after.bytes.total, formatting.size, "measured"),
        ("non-zero parameters", before.nonzero, after.nonzero, formatting.count, "measured"),
        ("MACs a sample", before.macs, after.macs, formatting.count, "measured"),
        ("peak memory", before.peak_memory, after.peak_memory, formatting.size, "measured"),
        ("energy a sample", before.energy, after.energy, formatting.joules, "modelled"),
    )
    others = [_tile(what, write(new), write(old), old, new, how) for what, old, new, write, how in rows]
    return [first, others[0], *(_speed_tile(row) for row in after.latency.values()), *others[1:]]


def _speed_tile(latency: Latency) -> Tile:
    tone = {"faster": GOOD, "slower": BAD}.get(latency.verdict, UNSURE)
    title = f"latency, {runtime_title(latency.runtime)}"
    before = "" if latency.verdict == "baseline" else f" from {formatting.latency(latency.baseline_median)}"
    return Tile(title, formatting.latency(latency.median), f"{formatting.verdict(latency)}{before}", tone=tone)


def _tile(label: str, value: str, old_text: str, old: float, new: float, how: str = "measured") -> Tile:
    if old == new or not old:
        return Tile(label, value, "as the original", how, UNSURE)
    return Tile(
        label,
        value,
        f"{formatting.minus(f'{(new / old - 1) * 100:+.0f}')} % from {old_text}",
        how,
        GOOD if new < old else BAD,
    )
