"""Opening JupyterLab on the notebook."""

from __future__ import annotations

import shutil
from argparse import Namespace
from pathlib import Path

from workbench.errors import WorkbenchError, first_line

NOTEBOOK = "workbench.ipynb"
PACKAGE = Path(__file__).parents[1]


def open_lab(chosen: Namespace) -> None:
    """Run JupyterLab until it is stopped.

    Raises:
        WorkbenchError: There is no notebook to open, or it cannot be put here.
    """
    # The server is heavy, and only this command needs it.
    from jupyterlab.labapp import LabApp  # type: ignore[import-untyped]  # it ships no type information

    port = [f"--ServerApp.port={chosen.port}"] if chosen.port else []
    LabApp.launch_instance([str(notebook(PACKAGE, Path.cwd())), *port, *chosen.extra])


def notebook(package: Path, here: Path) -> Path:
    """Return the notebook: a checkout's own, or a copy in `here` of the one that an installed package carries.

    A copy that is there already holds the user's work and is left as it is.

    Raises:
        WorkbenchError: There is none, or it cannot be written.
    """
    own = package.parent / "notebooks" / NOTEBOOK
    if own.is_file():
        return own
    packaged, copy = package / "notebooks" / NOTEBOOK, here / NOTEBOOK
    if copy.is_file():
        return copy
    try:
        shutil.copyfile(packaged, copy)
    except OSError as error:
        raise WorkbenchError(f"the notebook cannot be put into {here}: {first_line(error)}") from error
    return copy
