"""Importance criteria. A new one is a new file with a registered class."""

from workbench.registry import discover
from workbench.steps.prune.importance.cache import rank_units, rank_weights
from workbench.steps.prune.importance.criterion import (
    CRITERIA,
    WEIGHT_CRITERIA,
    Criterion,
    WeightCriterion,
    judged_weights,
)

discover(__name__, __path__)

__all__ = [
    "CRITERIA",
    "WEIGHT_CRITERIA",
    "Criterion",
    "WeightCriterion",
    "judged_weights",
    "rank_units",
    "rank_weights",
]
