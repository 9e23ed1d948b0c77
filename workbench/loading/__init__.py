"""Getting subjects: by an embedded name, a library's name, a Python file, or an exported folder."""

from workbench.load.embedded import NAMES
from workbench.load.load import SOURCES, load
from workbench.load.source import Source

__all__ = ["NAMES", "SOURCES", "Source", "load"]
