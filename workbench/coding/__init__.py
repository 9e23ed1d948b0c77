"""How tensors are stored in bytes: number codes, bit packing, and layouts that leave zeros out."""

from workbench.coding.additive_powers import AdditivePowers
from workbench.coding.codebook import Codebook
from workbench.coding.coding import CODINGS, Coding
from workbench.coding.described import PARTS, room
from workbench.coding.floating import FORMATS, Floating
from workbench.coding.grid import RANGES, grid
from workbench.coding.levels import Levels, fitted
from workbench.coding.powers_of_two import PowersOfTwo
from workbench.coding.ranges import BINS, histogram_range
from workbench.coding.signs import Binary, Ternary
from workbench.coding.stored import DTYPES, Plan, plan, restore, store
from workbench.coding.uniform import Uniform, integer_range

__all__ = [
    "BINS",
    "CODINGS",
    "DTYPES",
    "FORMATS",
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
