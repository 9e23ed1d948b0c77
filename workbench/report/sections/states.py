"""Everything that was tried, and what training reported."""

from __future__ import annotations

from typing import Any

from workbench import formatting
from workbench.charts import Candidate, trade_off_chart, training_chart
from workbench.charts.drop import drop_of
from workbench.charts.labels import runtime_title
from workbench.measure import Score
from workbench.measure.record import Record
from workbench.report.blocks import Block, Chart, Section, Table


def states(record: Record) -> Section:
    """Return the trade-off of all states that were measured, and the last training's curves."""
    candidates = [
        Candidate(_title(row), Score(**row["score"]), row["bytes"], row["role"], row["number"])
        for row in record["states"]
    ]
    runtimes = list(dict.fromkeys(name for row in record["states"] for name in row.get("latency", {})))
    noted = any(row.get("label", {}).get("note") for row in record["states"])
    rows = [
        (
            f"{'● ' if row.role == 'current' else ''}{'★ ' if facts.get('label', {}).get('star') else ''}{row.title}",
            formatting.size(row.cost),
            formatting.score(row.score),
            drop_of(row.score).text,
            *(_time(facts.get("latency", {}).get(name)) for name in runtimes),
            *((facts.get("label", {}).get("note", ""),) if noted else ()),
        )
        for row, facts in zip(candidates, record["states"], strict=True)
    ]
    heads = (
        "state",
        "file",
        "score on validation",
        "change",
        *map(runtime_title, runtimes),
        *(("note",) if noted else ()),
    )
    table = Table(heads, rows, numeric=(1, 2, 3))
    lines = " Lines are 95 % intervals." if any(row.score.low < row.score.high for row in candidates) else ""
    caption = (
        "Every state of the session that was measured; in the table ● is the one this report is on, and ★ are those "
        f"that were starred.{lines}"
    )
    blocks: list[Block] = [Chart([("", trade_off_chart(candidates).figure)], table, caption), table]
    curve = [(float(done), str(name), float(value)) for done, name, value in record["curve"]]
    for name in dict.fromkeys(what for _, what, _ in curve):
        points = [(formatting.percent(done), f"{value:.4g}") for done, what, value in curve if what == name]
        thin = points[:: -(-len(points) // 20)]
        chart = training_chart(name, curve).figure
        blocks.append(Chart([("", chart)], Table(("done", name), thin, (0, 1)), f"{name} while the last step trained."))
    return Section(blocks)


def _time(facts: dict[str, Any] | None) -> str:
    return f"{formatting.latency(facts['median'])}, {facts['verdict']}" if facts else "–"


def _title(row: dict[str, Any]) -> str:
    """Return what people called a state, and the steps that lead to it."""
    name, steps = row.get("label", {}).get("name", ""), " → ".join(row["steps"]) or "original"
    return f"{name}: {steps}" if name else steps
