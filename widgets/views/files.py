"""What leaves the session: the export and the report."""

from __future__ import annotations

from threading import RLock

import ipywidgets as W

from widgets.view import View
from workbench.autosave import clean
from workbench.session import Session

FORMATS = ("safetensors", "onnx", "pt2")


class Files(View):
    """Write the current state as a verified folder, and the session as a report."""

    def __init__(self, session: Session, lock: RLock) -> None:
        super().__init__(session, lock)
        name = clean(session.subject.name)
        wide = {"width": "260px"}
        self.folder = W.Text(value=f"out/{name}", description="folder", layout=wide)
        self.formats = W.SelectMultiple(options=FORMATS, value=FORMATS, rows=3, description="files", layout=wide)
        self.export = W.Button(description="Export", icon="download", tooltip="Write, reload and compare every file")
        self.path = W.Text(value=f"report-{name}.html", description="file", layout=wide)
        self.report = W.Button(
            description="Report", icon="file-text", tooltip="Write the session up; by ending .html, .ipynb, .md, .pdf"
        )
        self.export.on_click(self.act(self._export))
        self.report.on_click(self.act(self._report))
        columns = [W.VBox([self.folder, self.formats, self.export]), W.VBox([self.path, self.report])]
        self.root = W.HBox(columns, layout={"flex_flow": "row wrap"})

    def _export(self) -> None:
        self.session.start("Export", self.session.export, self.folder.value, self.formats.value)

    def _report(self) -> None:
        self.session.start("Report", self.session.report, self.path.value)
