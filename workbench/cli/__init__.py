"""The command line: `workbench inspect`, `scan`, `run`, `steps`, `lab`."""

from workbench.cli.main import main

__all__ = ["main"]
