"""Layer by layer: what was there, and what is left."""

from __future__ import annotations

from typing import Any

from workbench import formatting
from workbench.charts import drawn_charts, layer_bars, weight_histogram
from workbench.charts.bars import Quantity, Row
from workbench.inspection import Histogram
from workbench.measure.record import Record
from workbench.report.blocks import Chart, Fragment, Prose, Section, Sentence, Table, Verbatim

SMALL = 170
HEADER = ("layer", "kind", "shape", "non-zero", "kept", "bits", "weight in the file", "MACs a sample")


def layers(record: Record) -> Section:
    """Return the table of layers and the bars of what they take."""
    rows = record["layers"]
    table = Table(HEADER, [_row(row) for row in rows], numeric=(3, 4, 5, 6, 7))
    blocks: list[Any] = [table]
    drawn: tuple[tuple[Quantity, str], ...] = (("bytes", "bytes"), ("MACs a sample", "macs"))
    blocks += [_bars(rows, quantity, key) for quantity, key in drawn if _changed(rows, key)]
    return Section(blocks)


def _changed(rows: list[dict[str, Any]], key: str) -> bool:
    return any((row["before"] or {}).get(key) != (row["after"] or {}).get(key) for row in rows)


def _row(row: dict[str, Any]) -> list[Sentence]:
    old, new = row["before"] or {}, row["after"] or {}
    if not new:
        return [[Verbatim(row["name"])], old["kind"], _shape(old), "removed", "", "", "", ""]
    share = formatting.percent(new["nonzero"] / old["weights"], 1) if old else "new"
    return [
        [Verbatim(row["name"])],
        new["kind"],
        _was(_shape(old), _shape(new)),
        _was(f"{old['nonzero']:,}" if old else "", f"{new['nonzero']:,}"),
        share,
        _was(str(old.get("bits", "")), str(new["bits"])),
        _was(_bytes(old.get("bytes")), _bytes(new["bytes"])),
        _was(formatting.count(old["macs"]) if old else "", formatting.count(new["macs"])),
    ]


def _was(old: str, new: str) -> str:
    return new if not old or old == new else f"{old} → {new}"


def _shape(facts: dict[str, Any]) -> str:
    return "\u00a0×\u00a0".join(str(size) for size in facts.get("shape", []))  # a shape is read on one line


def _bytes(value: int | None) -> str:
    return "–" if value is None else formatting.size(value)


def _bars(rows: list[dict[str, Any]], quantity: Quantity, key: str) -> Chart:
    shown: list[Row] = [
        (row["name"], (row["before"] or {}).get(key) or 0, (row["after"] or {}).get(key) or 0) for row in rows
    ]
    cells = [([Verbatim(name)], f"{before:,.0f}", f"{after or 0:,.0f}") for name, before, after in shown]
    table = Table(("layer", f"{quantity}, original", "compressed"), cells, numeric=(1, 2))
    what = "Bytes of each layer's weight in the file" if key == "bytes" else "Multiply-accumulates of each layer"
    return Chart([("", layer_bars(shown, quantity).figure)], table, f"{what}: pale before, blue after.")


def weights(record: Record) -> Section:
    """Return the histograms of the largest weights that changed."""
    rows = record["weights"]
    if not rows:
        return Section([Prose("No weight was changed.")])
    figures = []
    for row in rows:
        before, after = (Histogram(**_tuples(row[key])) for key in ("before", "after"))
        figure = weight_histogram(before, after, row["grid"], row["threshold"], height=SMALL).figure
        figure.legend.visible = False  # the caption says it once for all
        figures.append((row["name"], figure))
        for chart in drawn_charts(before, after):
            if chart.figure is not None:
                chart.figure.height = SMALL
                figures.append((f"{row['name']}, {chart.title}", chart.figure))
    cells = [_histogram_row(row) for row in rows]
    table = Table(("layer", "lowest", "highest", "largest bin before", "after", "cut below"), cells, (1, 2, 3, 4, 5))
    caption: list[Fragment] = [
        "Grey is the original, blue the compressed weight. A red dashed line is the magnitude below which weights "
        "became zero; a bar that is higher than the axis has its count beside it."
    ]
    if len(record["layers"]) > len(rows):
        caption.append(f" Drawn are the {len(rows)} largest of the weights that changed.")
    return Section([Chart(figures, table, caption)])


def _tuples(facts: dict[str, Any]) -> dict[str, Any]:
    return {**facts, "edges": tuple(facts["edges"]), "counts": tuple(facts["counts"])}


def _histogram_row(row: dict[str, Any]) -> list[Sentence]:
    edges, threshold = row["before"]["edges"], row["threshold"]
    return [
        [Verbatim(row["name"])],
        f"{edges[0]:.4g}",
        f"{edges[-1]:.4g}",
        f"{max(row['before']['counts']):,}",
        f"{max(row['after']['counts']):,}",
        f"{threshold:.3g}" if threshold is not None else "–",
    ]
