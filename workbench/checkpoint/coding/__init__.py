"""How tensors are stored in bytes: number codes, bit packing, and layouts that leave zeros out."""

from workbench.checkpoint.coding.additive_powers import AdditivePowers
from workbench.checkpoint.coding.codebook import Codebook
from workbench.checkpoint.coding.coding import CODINGS, Coding
from workbench.checkpoint.coding.described import DIMENSIONS, PARTS, room
from workbench.checkpoint.coding.floating import FORMATS, Floating
from workbench.checkpoint.coding.levels import Levels, fitted
from workbench.checkpoint.coding.powers_of_two import PowersOfTwo
from workbench.checkpoint.coding.ranges import BINS, histogram_range
from workbench.checkpoint.coding.signs import Binary, Ternary
from workbench.checkpoint.coding.stored import DTYPES, NAMED, Plan, plan, restore, store
from workbench.checkpoint.coding.uniform import Uniform, integer_range
from workbench.checkpoint.coding.uniform_grid import RANGES, grid

__all__ = [
    "BINS",
    "CODINGS",
    "DIMENSIONS",
    "DTYPES",
    "FORMATS",
    "NAMED",
    "PARTS",
    "RANGES",
    "AdditivePowers",
    "Binary",
    "Codebook",
    "Coding",
    "Floating",
    "Levels",
    "Plan",
    "PowersOfTwo",
    "Ternary",
    "Uniform",
    "fitted",
    "grid",
    "histogram_range",
    "integer_range",
    "plan",
    "restore",
    "room",
    "store",
]
