"""Lessons run from the first cell to the last, with their solutions: `python -m tests.lessons.executing [NAME ...]`."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient

from workbench.lessons.course import LESSONS, Lesson, lesson
from workbench.lessons.source import notebook, read

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "lessons"
SECONDS = 240  # for a cell


def execute(one: Lesson, folder: Path, source: Path | None = None) -> nbformat.NotebookNode:
    """Return a lesson's notebook with its solutions and what every cell gave; raises what a cell raises."""
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    made = nbformat.reads(notebook(one, read(source or SOURCES / f"{one.key}.py"), solutions=True), as_version=4)
    manager = KernelManager()
    manager.kernel_spec.argv[0] = sys.executable  # of this environment, whatever kernels the machine knows
    client = NotebookClient(
        made, km=manager, timeout=SECONDS, store_widget_state=False, resources={"metadata": {"path": str(folder)}}
    )
    client.execute(cleanup_kc=True)
    return made


def main(names: list[str]) -> None:
    """Run the named lessons, or all; a line with its time for each."""
    for one in [lesson(name) for name in names] or LESSONS:
        with tempfile.TemporaryDirectory() as folder:
            start = time.monotonic()
            made = execute(one, Path(folder))
            print(f"{one.name:16} {time.monotonic() - start:6.0f} s, {len(made.cells)} cells", flush=True)
            kept = os.environ.get("LESSONS_OUT")
            if kept:
                nbformat.write(made, Path(kept) / f"{one.name}.ipynb")


if __name__ == "__main__":
    main(sys.argv[1:])
