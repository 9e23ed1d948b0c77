"""How the score takes a step on each part alone."""

from __future__ import annotations

from workbench import formatting
from workbench.charts import sensitivity_curves, sensitivity_map
from workbench.charts.drop import drop_axis, drop_of
from workbench.measure.record import Record
from workbench.report.blocks import Chart, Prose, Section, Sentence, Table, Verbatim
from workbench.search.sensitivity import Point
from workbench.search.sensitivity import Table as Scan


def sensitivity(record: Record) -> Section:
    """Return the heat-map and the curves of the latest scan, or that there was none."""
    if record["sensitivity"] is None:
        return Section([Prose("No sensitivity scan was made in this session.")])
    scan = Scan.read(record["sensitivity"])
    table = _table(scan)
    words = (
        f"One part of the model at a time, at several strengths of {_kind(scan)}; all the rest "
        f"as it was when the scan ran. Each score is against the original's {formatting.score(scan.baseline)} on "
        "validation, so what the steps before the scan cost is in it too."
    )
    unfinished = [] if scan.done else [Prose("The scan was stopped before every point was reached.")]
    first = (
        "A number with ~ cannot be told from no change. Hatched is what cannot be done at all; the reason is in the "
        "table and under the pointer."
    )
    second = "Bands are 95 % intervals. The parts that lose most are coloured, the others grey."
    return Section(
        [
            Prose(words),
            *unfinished,
            Chart([("", sensitivity_map(scan).figure)], table, first),
            Chart([("", sensitivity_curves(scan).figure)], _points(scan), second),
        ]
    )


def _kind(scan: Scan) -> str:
    return str(scan.step.get("kind", "the step")).replace("_", " ")


def _table(scan: Scan) -> Table:
    strengths = list(dict.fromkeys(scan.strengths))
    rows: list[list[Sentence]] = [
        [[Verbatim(target)], *(_cell(scan.at(target, strength)) for strength in strengths)] for target in scan.targets
    ]
    header = (f"part ({drop_axis(scan.baseline)})", *(f"{strength:g}" for strength in strengths))
    return Table(header, rows, numeric=tuple(range(1, len(header))))


def _cell(point: Point | None) -> str:
    if point is None:
        return "not reached"
    if point.score is None:
        return f"cannot be done: {point.reason}"
    drop = drop_of(point.score)
    return f"{'~' if drop.unclear else ''}{round(drop.value, 2) + 0.0:.2f}".replace("-", "−")


def _points(scan: Scan) -> Table:
    rows: list[list[Sentence]] = [
        [
            [Verbatim(point.target)],
            f"{point.strength:g}",
            formatting.score(point.score),
            drop_of(point.score).text,
            formatting.size(point.bytes),
        ]
        for point in scan.points
        if point.score is not None
    ]
    return Table(("part", "strength", "score", "change", "whole file"), rows, numeric=(1, 2, 3, 4))
