"""Rules of rounding. A new one is a new file and a line in the table."""

from workbench.steps.quantize.rounding.descent import Descent
from workbench.steps.quantize.rounding.learned import Learned
from workbench.steps.quantize.rounding.nearest import Nearest
from workbench.steps.quantize.rounding.rounding import Rounding
from workbench.steps.quantize.rounding.second_order import SecondOrder

ROUNDINGS: dict[str, Rounding] = {rule.kind: rule for rule in (Nearest(), SecondOrder(), Descent(), Learned())}
# What puts weights on any list of values, not on integers only.
GENERAL = tuple(kind for kind, rule in ROUNDINGS.items() if not rule.uniform)

__all__ = ["GENERAL", "ROUNDINGS", "Rounding"]
