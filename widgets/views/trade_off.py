"""Every state that was tried, as score against bytes."""

from __future__ import annotations

from threading import RLock

from widgets.figure import Figure
from widgets.view import View
from workbench.charts import Candidate, trade_off_chart
from workbench.recipe import step_code
from workbench.session import Session


class TradeOff(View):
    """A point for each measured state, with its interval."""

    def __init__(self, session: Session, lock: RLock) -> None:
        super().__init__(session, lock)
        self.chart = trade_off_chart()
        self.root = Figure(self.chart.figure, lock, "Score against bytes of every state that was measured")
        self.root.on_tap(self.chart.figure.renderers[1], self.hear(self._go))
        self.watch(self._show, "history", "measurements")

    def _go(self, row: int) -> None:
        """Go to the state of a point."""
        self.session.go(int(self.chart.source.data["number"][row]))

    def _show(self) -> None:
        history = self.session.history
        found = []
        for number, measured in sorted(self.session.measurements.items()):
            node = history.nodes[number]
            title = step_code(node.step).removeprefix("wb.") if node.step else self.session.subject.name
            role = "baseline" if number == 0 else "current" if number == history.at else "other"
            found.append(Candidate(title, measured.score, measured.bytes.total, role, number))
        if found:
            with self.root.update():
                self.chart.show(found)
