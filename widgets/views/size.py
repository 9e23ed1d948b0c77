"""Where the bytes of the file went, for the preview or the current state."""

from __future__ import annotations

from threading import RLock

from widgets.figure import Figure
from widgets.view import View
from workbench.charts import ledger_chart
from workbench.session.session import Session


class SizeLedger(View):
    """The ledger from the baseline's file to this one, as a waterfall."""

    def __init__(self, session: Session, lock: RLock) -> None:
        super().__init__(session, lock)
        self.chart = ledger_chart()
        self.root = Figure(self.chart.figure, lock, "Where the bytes of the file went")
        self._drawn: object = None
        self.watch(self._show, "staged", "history", "measurements")

    def _show(self) -> None:
        staged, measurement = self.session.staged, self.session.measurements.get(self.session.history.at)
        size = staged.bytes if staged is not None and staged.bytes else measurement.bytes if measurement else None
        if size is None or size == self._drawn:
            return
        self._drawn = size
        with self.root.update():
            self.chart.show(size)
