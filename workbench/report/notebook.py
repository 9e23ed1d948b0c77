"""The template notebook, filled with a record and run."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from workbench.errors import WorkbenchError
from workbench.jobs.progress import Progress
from workbench.measure.record import Record, pack, write

TEMPLATE = Path(__file__).with_name("template.ipynb")
RECORD = "record.json"
SECONDS = 300


class ThisInterpreter(KernelSpecManager):
    """Gives the running interpreter as the kernel, whatever kernels are installed."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """Return how to start a kernel that imports this very workbench, without the user's start-up files."""
        paths = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
        return KernelSpec(
            argv=[
                sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}",
                "--HistoryManager.enabled=False",
                "--log-level=ERROR",
            ],
            display_name="Python 3",
            language="python",
            env={
                "PYTHONPATH": os.pathsep.join(path for path in paths if path),
                "IPYTHONDIR": str(Path(self.data_dir) / "ipython"),
                "PYDEVD_DISABLE_FILE_VALIDATION": "1",
            },
        )  # fmt: skip


def run_template(record: Record, folder: Path, progress: Progress | None = None) -> Any:
    """Return the executed notebook, an `nbformat` v4 node; the record is written into `folder` beside it.

    Raises:
        WorkbenchError: The kernel did not start, a cell failed or took too long.
        Cancelled: It was told to stop.
    """
    progress = progress or Progress()
    write(record, folder / RECORD)
    notebook = nbformat.read(TEMPLATE, as_version=4)  # type: ignore[no-untyped-call]
    total = len(notebook.cells)

    def tell(cell: Any, cell_index: int) -> None:
        progress.update(cell_index / total, "writing the report")

    manager = AsyncKernelManager(kernel_spec_manager=ThisInterpreter(data_dir=str(folder)))
    client = NotebookClient(
        notebook, km=manager, timeout=SECONDS, startup_timeout=SECONDS, on_cell_start=tell,
        resources={"metadata": {"path": str(folder)}},
    )  # fmt: skip
    try:
        # Without this a kernel whose manager is given would go on running.
        client.execute(cleanup_kc=True)
    except CellExecutionError as error:
        raise WorkbenchError(f"a cell of the report failed: {error.ename}: {error.evalue}") from error
    except (CellTimeoutError, DeadKernelError, RuntimeError, OSError) as error:
        raise WorkbenchError(f"the report's notebook could not be run: {error}") from error
    for cell in notebook.cells:
        # What a library says on the way belongs to no report.
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.output_type != "stream"]
    return notebook


def with_record(notebook: Any, record: Record) -> Any:
    """Return the notebook with the record in its first cell, so that it runs again wherever it is moved to.

    A file beside it would be lost by the first who sends the notebook on, and metadata cannot be read by cells.
    """
    document = nbformat.from_dict(notebook)  # type: ignore[no-untyped-call]
    for cell in document.cells:
        tags = cell.metadata.get("tags", [])
        if "record" in tags:
            cell.source = f'from workbench import report\n\nrecord = report.unpack("""\n{_lines(pack(record))}\n""")'
            cell.metadata["jupyter"] = {"source_hidden": True}
        cell.metadata.pop("execution", None)
    return document


def _lines(text: str, width: int = 110) -> str:
    return "\n".join(text[start : start + width] for start in range(0, len(text), width))
