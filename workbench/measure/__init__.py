"""Measured numbers: score, latency, size, compute, memory."""

from workbench.measure.latency import Latency, compare
from workbench.measure.measurement import HOW, Measurement, count, count_nonzeros, measure, time_runtimes
from workbench.measure.score import Reference, Score, anytime, refer, score
from workbench.measure.size import Size, measure_size

__all__ = [
    "HOW",
    "Latency",
    "Measurement",
    "Reference",
    "Score",
    "Size",
    "anytime",
    "compare",
    "count",
    "count_nonzeros",
    "measure",
    "measure_size",
    "refer",
    "score",
    "time_runtimes",
]
