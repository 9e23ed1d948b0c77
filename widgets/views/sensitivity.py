"""Sensitivity: which part takes how much, filling in while the scan runs."""

from __future__ import annotations

import glob
import time
from threading import RLock

import ipywidgets as W

from widgets.data_table import DataTable
from widgets.figure import Figure
from widgets.fold import Fold
from widgets.forms import Forms
from widgets.view import View
from workbench.charts import sensitivity_curves, sensitivity_map
from workbench.charts.drop import drop_of
from workbench.charts.theme import rows_height
from workbench.errors import WorkbenchError
from workbench.search.sensitivity import Point
from workbench.session.session import Session
from workbench.steps import KINDS
from workbench.steps.recipe import read_step

TALL = 760  # pixels, as the style sheet says
PAGE_SECONDS = 0.006  # a page takes about a third of this to draw one more cell and dot


class Sensitivity(View):
    """Scan one kind of step over layers or groups; heat-map and curves."""

    def __init__(self, session: Session, lock: RLock) -> None:
        super().__init__(session, lock)
        scanned = {name: kind for name, kind in KINDS.items() if kind.strength}
        self.forms = Forms(scanned, lambda: None)
        self.kind = W.Dropdown(options=[(kind.title, name) for name, kind in scanned.items()], description="step")
        self.strengths = W.Text(
            description="strengths", layout={"width": "260px"}, tooltip="Values to try, with commas between them"
        )
        self.tolerance = W.BoundedFloatText(
            value=1.0, min=0.05, max=20.0, step=0.1, description="± points", tooltip="Precision of a point",
            layout={"width": "170px"},
        )  # fmt: skip
        self.limit = W.BoundedFloatText(
            value=0.0, min=0.0, max=86400.0, step=10.0, description="time limit, s",
            tooltip="Time to spend, most of it on the points that are least certain; 0 for no limit",
            layout={"width": "170px"},
        )  # fmt: skip
        self.scan = W.Button(
            description="Scan",
            button_style="primary",
            icon="search",
            tooltip="A scan that was stopped goes on where it was",
            layout={"width": "auto"},
        )
        self.more = Fold("Other fields of the step", W.VBox())
        self.map, self.curves = sensitivity_map(), sensitivity_curves()
        self.map_figure = Figure(self.map.figure, lock, "Drop of the score by layer and strength")
        self.curves_figure = Figure(self.curves.figure, lock, "Score by strength, a curve for each layer")
        self.map_figure.on_tap(self.map.figure.renderers[0], self.hear(self._try))
        # It stays when the charts come: they would move up into its place.
        self.help = W.HTML(
            "<p class='wb-help'>Tries the step on one layer or group at a time, and shows what each costs. Click a "
            "cell to preview it.</p>"
        )
        self.tall = W.VBox([self.map_figure])
        self.tall.add_class("wb-tall")
        self.cells = DataTable("scan")
        self.as_table = Fold("All drops as a table", self.cells)
        self.charts = W.VBox([self.tall, self.curves_figure, self.as_table])
        self.kind.observe(self.act(self._choose), "value")
        self.scan.on_click(self.act(self._scan))
        fields = [self.kind, self.strengths, self.tolerance, self.limit, self.scan]
        row = W.HBox(fields, layout={"flex_flow": "row wrap"})
        self.root = W.VBox([row, self.more, self.help, self.charts])
        self._choose()
        self._shown: object = ()  # no table yet, not even that there is none
        self._due = 0.0
        self.watch(self._grow, "table", "jobs")

    def _choose(self) -> None:
        form = self.forms[self.kind.value]
        self.strengths.value = ", ".join(f"{value:g}" for value in form.kind.amounts)
        self.more.inside.children = (form.root,)

    def _scan(self) -> None:
        try:
            amounts = tuple(float(part) for part in self.strengths.value.split(",") if part.strip())
        except ValueError:
            raise WorkbenchError(
                f"strengths are numbers with commas between them, not {self.strengths.value!r}"
            ) from None
        step = self.forms[self.kind.value].step
        factor = 100 if self.session.subject.task.metric.unit == "%" else 1
        self.session.start(
            f"Scan {step.title}",
            self.session.sensitivity,
            step,
            amounts,
            tolerance=self.tolerance.value / factor,
            seconds=self.limit.value or None,
        )

    def _try(self, row: int) -> None:
        """Preview the step of a cell, alone and on the current state."""
        table, cells = self.session.table, self.map.source.data
        if table is not None and row < len(cells["target"]):
            step = read_step(table.step)
            self.session.preview(step.with_strength(glob.escape(cells["target"][row]), float(cells["x"][row])))

    def _grow(self) -> None:
        """Show the points there are, while a scan runs no more often than kernel and page can keep up with."""
        table, start = self.session.table, time.monotonic()
        if table is self._shown or (start < self._due and any(job.active for job in self.session.jobs)):
            return
        self._show()
        self._shown, points = table, len(table.points) if table else 0
        self._due = start + max(10 * (time.monotonic() - start), PAGE_SECONDS * points)

    def _show(self) -> None:
        table = self.session.table
        self.charts.layout.display = "" if table else "none"
        if table is None:
            return
        # The figure below is placed before this one is drawn.
        self.tall.layout.min_height = f"{min(rows_height(len(table.targets)) + 24, TALL)}px"
        with self.map_figure.update():
            self.map.show(table)
        with self.curves_figure.update():
            self.curves.show(table)
        heads = ["layer or group", *(f"{strength:g}" for strength in table.strengths)]
        rows = [[target, *(_cell(table.at(target, one)) for one in table.strengths)] for target in table.targets]
        self.cells.show(heads, rows, hint="Change of the score by the step on one part alone, at each strength.")


def _cell(point: Point | None) -> str:
    if point is None:
        return "–"
    return drop_of(point.score).text if point.score is not None else f"cannot be: {point.reason}"
