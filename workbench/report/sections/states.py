"""Everything that was tried, and what training reported."""

from __future__ import annotations

from workbench import formatting
from workbench.charts import Candidate, trade_off_chart, training_chart
from workbench.charts.drop import drop_of
from workbench.measure import Score
from workbench.measure.record import Record
from workbench.report.blocks import Block, Chart, Section, Table


def states(record: Record) -> Section:
    """Return the trade-off of all states that were measured, and the last training's curves."""
    candidates = [
        Candidate(_title(row["steps"]), Score(**row["score"]), row["bytes"], row["role"], row["number"])
        for row in record["states"]
    ]
    rows = [
        (
            f"{'● ' if row.role == 'current' else ''}{row.title}",
            formatting.size(row.cost),
            formatting.score(row.score),
            drop_of(row.score).text,
        )
        for row in candidates
    ]
    table = Table(("state", "file", "score on validation", "change"), rows, numeric=(1, 2, 3))
    caption = "Every state of the session that was measured; ● is the one this report is on. Lines are 95 % intervals."
    blocks: list[Block] = [Chart([("", trade_off_chart(candidates).figure)], table, caption), table]
    curve = [(float(done), str(name), float(value)) for done, name, value in record["curve"]]
    for name in dict.fromkeys(what for _, what, _ in curve):
        points = [(f"{done:.0%}", f"{value:.4g}") for done, what, value in curve if what == name]
        thin = points[:: -(-len(points) // 20)]
        chart = training_chart(name, curve).figure
        blocks.append(Chart([("", chart)], Table(("done", name), thin, (0, 1)), f"{name} while the last step trained."))
    return Section(blocks)


def _title(steps: list[str]) -> str:
    return " → ".join(steps) or "original"
