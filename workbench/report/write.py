"""From a record to a file."""

from __future__ import annotations

import os
from pathlib import Path

import nbformat

from workbench.checkpoint.folders import check_place, half_beside
from workbench.errors import WorkbenchError, first_line, shown
from workbench.jobs.progress import Progress
from workbench.measure.record import Record
from workbench.report.convert import print_pdf, to_html, to_markdown
from workbench.report.notebook import run_template, with_record

ENDINGS = (".html", ".ipynb", ".md", ".pdf")


def write_report(path: Path, record: Record, progress: Progress | None = None) -> Path:
    """Write the report of a session's record, and return the file.

    The file appears whole or not at all; one that is there is replaced.

    Args:
        path: Its ending says what is written: .html, .ipynb, .md or .pdf.
        record: With all its details.
        progress: Where progress is told, and cancelling asked.

    Raises:
        WorkbenchError: The ending is not known, the file cannot be written, the notebook could not be run, or a
            PDF is asked for and there is no Chromium.
        Cancelled: It was told to stop; nothing was written.
    """
    progress = progress or Progress()
    check_ending(path)
    try:
        with half_beside(path) as folder:
            half = _make(folder, path.suffix.lower(), record, progress)
            os.replace(half, path)  # noqa: PTH105  # pathlib's refuses an existing file on Windows
    except OSError as error:
        raise WorkbenchError(f"{path} cannot be written: {first_line(error)}") from error
    progress.update(1.0)
    return path


def check_ending(path: Path) -> None:
    """Raise `WorkbenchError` if no kind of report has this ending."""
    if path.suffix.lower() not in ENDINGS:
        raise WorkbenchError(
            f"a report is written as {', '.join(ENDINGS)}, by the file's ending; {path.name!r} has none of them"
        )


def check_path(path: Path) -> None:
    """Raise `WorkbenchError` if no report could be written there, before there is any work to lose."""
    check_ending(path)
    try:
        check_place(path)
        taken = path.is_dir()
    except OSError as error:
        raise WorkbenchError(f"{shown(str(path), 200)} cannot be written: {first_line(error)[-200:]}") from error
    if taken:
        raise WorkbenchError(f"{path} cannot be written: it is a folder")


def _make(folder: Path, ending: str, record: Record, progress: Progress) -> Path:
    """Return the finished file in `folder`."""
    notebook = run_template(record, folder, progress.part(0.0, 0.8))
    done = folder / f"report{ending}"
    progress.update(0.85, f"converting to {ending}")
    if ending == ".ipynb":
        nbformat.write(with_record(notebook, record), done)  # type: ignore[no-untyped-call]
    elif ending == ".md":
        done.write_text(to_markdown(notebook), encoding="utf-8")
    else:
        page = folder / "report.html"
        page.write_text(to_html(notebook, record["subject"]["name"], paper=ending == ".pdf"), encoding="utf-8")
        if ending == ".pdf":
            print_pdf(page, done, folder)
    return done
