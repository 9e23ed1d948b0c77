"""How tensors are stored in bytes: number codes, bit packing, and layouts that leave zeros out."""

from workbench.coding.coding import CODINGS, Coding
from workbench.coding.grid import RANGES, grid
from workbench.coding.ranges import BINS, histogram_range
from workbench.coding.stored import Plan, plan, restore, store
from workbench.coding.uniform import Uniform, integer_range

__all__ = [
    "BINS",
    "CODINGS",
    "RANGES",
    "Coding",
    "Plan",
    "Uniform",
    "grid",
    "histogram_range",
    "integer_range",
    "plan",
    "restore",
    "store",
]
