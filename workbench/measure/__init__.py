"""Measured numbers: score, latency, size, compute, memory."""

from workbench.measure.latency import Latency, Verdict
from workbench.measure.measurement import (
    HOW,
    Measurement,
    count,
    count_nonzeros,
    emptied_notes,
    measure,
    time_runtimes,
)
from workbench.measure.pairs import compare
from workbench.measure.reference import Reference, refer
from workbench.measure.score import Score
from workbench.measure.sequential import anytime
from workbench.measure.size import Size, measure_size

__all__ = [
    "HOW",
    "Latency",
    "Measurement",
    "Reference",
    "Score",
    "Size",
    "Verdict",
    "anytime",
    "compare",
    "count",
    "count_nonzeros",
    "emptied_notes",
    "measure",
    "measure_size",
    "refer",
    "time_runtimes",
]
