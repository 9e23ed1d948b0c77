"""The command line: `workbench inspect`, `scan`, `run`, `steps`, `lab`."""
