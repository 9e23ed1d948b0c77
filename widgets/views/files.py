"""What leaves the session: the export and the report."""

from __future__ import annotations

from pathlib import Path
from threading import RLock

import ipywidgets as W

from widgets.file_list import FileList
from widgets.view import View
from workbench.session.autosave import clean
from workbench.session.session import Session

FORMATS = {
    "safetensors": "packed weights, the small one",
    "onnx": "for ONNX Runtime and others",
    "pt2": "for PyTorch without the workbench",
}


class Files(View):
    """Write the current state as a verified folder, and the session as a report."""

    def __init__(self, session: Session, lock: RLock) -> None:
        super().__init__(session, lock)
        name = clean(session.subject.name)
        wide = {"width": "300px"}
        self.folder = W.Text(value=f"out/{name}", description="folder", layout=wide)
        self.formats = {
            form: W.Checkbox(value=True, description=f"{form}: {words}", indent=False, layout={"width": "auto"})
            for form, words in FORMATS.items()
        }
        self.export = W.Button(
            description="Export",
            icon="download",
            button_style="primary",
            tooltip="Write, reload and compare every file",
        )
        self.path = W.Text(value=f"report-{name}.html", description="file", layout=wide)
        self.report = W.Button(
            description="Report", icon="file-text", tooltip="Write the session up; by ending .html, .ipynb, .md, .pdf"
        )
        self.export.on_click(self.act(self._export))
        self.report.on_click(self.act(self._report))
        model = W.HTML("<b>The model</b>, in a folder whose README says how each file is run")
        paper = W.HTML("<b>A report</b>: every number, chart and step; .html, .ipynb, .md or .pdf")
        self.written = FileList(failed=self._fail)
        self.root = W.VBox(
            [model, self.folder, *self.formats.values(), self.export, paper, self.path, self.report, self.written]
        )
        self.watch(self._list, "saved_to")

    def _fail(self, words: str) -> None:
        self.session.error = words

    def _list(self) -> None:
        """List what was written last, to be taken along."""
        place = Path(self.session.saved_to) if self.session.saved_to else None
        if place is None or not place.exists():
            return
        self.written.title = f"Written and verified: {place}"
        self.written.show(sorted(path for path in place.iterdir() if path.is_file()) if place.is_dir() else [place])

    def _export(self) -> None:
        chosen = tuple(form for form, box in self.formats.items() if box.value)
        self.session.start("Export", self.session.export, self.folder.value, chosen)

    def _report(self) -> None:
        self.session.start("Report", self.session.report, self.path.value)
