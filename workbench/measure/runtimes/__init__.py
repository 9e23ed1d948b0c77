"""Where models run. A new runtime is a new file with a registered class."""

from workbench.measure.runtimes.runtime import RUNTIMES, Forward, Runtime, inputs_for, place_of, prepared, title_of
from workbench.registry import discover

discover(__name__, __path__)

__all__ = ["RUNTIMES", "Forward", "Runtime", "inputs_for", "place_of", "prepared", "title_of"]
