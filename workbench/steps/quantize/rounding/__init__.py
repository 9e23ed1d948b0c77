"""Rules of rounding. A new one is a new file with a registered class."""

from workbench.registry import discover
from workbench.steps.quantize.rounding.rounding import GENERAL, ROUNDINGS, Rounding

discover(__name__, __path__)

__all__ = ["GENERAL", "ROUNDINGS", "Rounding"]
