"""The packed weights, with the graph beside them."""

from __future__ import annotations

import gzip
from pathlib import Path

from workbench.checkpoint.checkpoint import read, write
from workbench.graph.program import from_text, to_text
from workbench.loading.exported import PROGRAM, WEIGHTS
from workbench.measure.runtimes import Forward, eager
from workbench.steps import Context, State


def write_folder(folder: Path, state: State, context: Context) -> None:
    """Write the packed weights, and the graph that opens them without the model's source."""
    write(folder / WEIGHTS, state.model, state.codings)
    text = to_text(state.model, context.example())
    # mtime 0 and no name: the same model gives the same bytes.
    (folder / PROGRAM).write_bytes(gzip.compress(text, mtime=0))


def open_folder(folder: Path) -> Forward:
    """Return the forward of what was written, made from the files alone."""
    values, codings = read(folder / WEIGHTS)
    model = from_text(gzip.decompress((folder / PROGRAM).read_bytes()), values)
    return eager.prepare(State(model, codings), ())
