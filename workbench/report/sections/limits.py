"""What could not be done, and how the numbers came about."""

from __future__ import annotations

from workbench import formatting
from workbench.graph import not_cut
from workbench.measure.record import Record
from workbench.report.blocks import Block, Fragment, Notes, Prose, Section, Sentence, Table, Verbatim


def limits(record: Record) -> Section:
    """Return the groups of channels that are protected, each with its reason, and the state's own notes."""
    error, groups = record["groups"]["error"], record["groups"]["groups"]
    blocks: list[Block] = []
    protected = [group for group in groups if group["protected"]]
    # A step notes each group that it left alone; the table below says the same, once.
    tabled = {not_cut(group["name"], group["protected"]) for group in protected}
    notes: list[Sentence] = [note for note in record["current"]["notes"] if note not in tabled]
    if error:
        notes.append(f"Coupled channels could not be traced, so no channel can be removed: {error}")
    if notes:
        blocks.append(Notes(notes))
    if protected:
        rows: list[list[Sentence]] = [
            [[Verbatim(group["name"])], _names(group["layers"]), f"{group['units']:,}", group["protected"]]
            for group in protected
        ]
        blocks.append(
            Prose(
                f"{len(protected)} of {len(groups)} coupled groups of channels cannot be made smaller. "
                "Single weights in them can still be set to zero or rounded."
            )
        )
        blocks.append(Table(("group", "layers", "channels", "why"), rows, numeric=(2,)))
    return Section(blocks or [Prose("Nothing stood in the way of any step.")])


def _names(layers: list[str]) -> list[Fragment]:
    names: list[Fragment] = []
    for name in layers[:4]:
        names += [", ", Verbatim(name)] if names else [Verbatim(name)]
    return [*names, f" and {len(layers) - 4} more"] if len(layers) > 4 else names


def _tolerance(record: Record) -> str:
    value = record["settings"]["tolerance"]
    return f"{value * 100:g} points" if record["task"]["metric"]["unit"] == "%" else f"{value:g}"


def method(record: Record) -> Section:
    """Return how the numbers were measured, and with what."""
    settings, splits = record["settings"], record["task"]["splits"]
    precision = (
        f"until the 95 % interval was within ±{_tolerance(record)}" if settings["tolerance"] else "on every sample"
    )
    machine = record.get("machine")
    where = f" on {machine['processor']} with {machine['cores']} cores" if machine else ""
    threads = f", {_threads(machine['threads'])}" if machine else ""
    if machine and machine.get("device", "cpu") != "cpu":
        where += f" and {machine['device']}, each runtime on its own,"
    software = ", ".join(f"{name} {value}" for name, value in record["software"].items())
    notes: list[Sentence] = [
        f"Scores on validation ({splits['validation']:,} samples) were taken {precision}, in pairs with the original, "
        "sample by sample. Previews and scans look at this split too, and never at the test split.",
        f"The test split ({splits['test']:,} samples) was scored for this report; every sample counts, so there is no "
        "sampling error within the split."
        if "test" in splits
        else "There is no test split.",
        f"Latency is of a batch of {settings['batch']}{where}{threads}, about {settings['seconds']:g} s for each "
        "runtime, timed in turn with the original. A verdict of "
        "faster or slower needs an interval that stays more than 2 % away from 1.",
        "Size is the number of bytes that an export writes, to the byte.",
        "Energy is modelled and never measured: operations and one fetch of every stored byte, by the costs of "
        "Horowitz, ISSCC 2014. Use it to compare, not as an amount.",
        "Zeros in a dense tensor make the file smaller, and no kernel faster.",
        f"Made with {software}.",
    ]
    return Section([Notes(notes), *_verified(record)])


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"


def _verified(record: Record) -> list[Block]:
    """Return the files that were exported of this state, each as it was opened again."""
    exported = record.get("exported") or {}
    unit = record["task"]["metric"]["unit"]
    rows: list[list[Sentence]] = [
        [
            [Verbatim(row["file"])], row["runtime"], formatting.size(row["bytes"]),
            formatting.score_value(row["score"], unit), formatting.score_value(row["expected"], unit),
            formatting.percent(row["agreement"], 2), f"{row['n']:,}",
        ]
        for row in exported.get("verified", ())
    ]  # fmt: skip
    if not rows:
        return [Prose("No files of this state were exported in this session, so none were verified.")]
    heads = ("file", "runtime", "size", "score", "expected", "same predictions", "samples")
    words: list[Fragment] = ["Exported into ", Verbatim(exported["folder"]), " and opened again in a fresh process:"]
    return [Prose(words), Table(heads, rows, numeric=(2, 3, 4, 5, 6))]
