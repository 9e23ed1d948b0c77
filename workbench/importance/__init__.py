"""Importance criteria. A new one is a new file and a line in the table."""

from workbench.importance.criterion import Criterion
from workbench.importance.magnitude import Magnitude

CRITERIA: dict[str, Criterion] = {criterion.kind: criterion for criterion in (Magnitude(),)}

__all__ = ["CRITERIA", "Criterion"]
