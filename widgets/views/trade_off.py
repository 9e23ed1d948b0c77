"""The trade-off board: every state that was tried, score against a cost."""

from __future__ import annotations

from threading import RLock

import ipywidgets as W

from widgets.figure import Figure
from widgets.view import View
from workbench.charts import Candidate, trade_off_chart
from workbench.charts.trade_off import Quantity
from workbench.measure import Measurement
from workbench.measure.runtimes import title_of
from workbench.search.planner.findings import title_of_steps
from workbench.session.session import Session
from workbench.steps.history import History
from workbench.steps.recipe import step_code


class TradeOff(View):
    """A point for each measured state, and for what a search found; a tap goes there, or puts it into the plan."""

    def __init__(self, session: Session, lock: RLock) -> None:
        super().__init__(session, lock)
        self.chart = trade_off_chart()
        self.figure = Figure(self.chart.figure, lock, "Score against a cost of every state that was measured")
        self.figure.on_tap(self.chart.marks, self.hear(self._go))
        times = [(f"time on {title_of(name)}", ("time", name)) for name in session.settings.runtimes]
        self.cost = W.Dropdown(
            options=[("bytes of the file", ("bytes", "")), *times, ("MACs a sample", ("MACs", ""))],
            description="against", layout={"width": "280px"},
        )  # fmt: skip
        self.cost.observe(self.act(self._redraw), "value")
        hint = W.HTML(
            "<p class='wb-hint'>Tap a point to go to that state; what a search found is put into the plan.</p>"
        )
        self.root = W.VBox([W.HBox([self.cost, hint], layout={"align_items": "center"}), self.figure])
        self.watch(self._draw, "history", "measurements", "findings")

    def _go(self, row: int) -> None:
        """Go to the state of a point, or make a plan of what a search found."""
        number, findings = int(self.chart.source.data["number"][row]), self.session.findings
        if self.chart.source.data["role"][row] != "found":
            self.session.go(number)
        elif findings is not None:
            self.session.plan_candidate(number)

    def _redraw(self) -> None:
        with self.lock:
            self._draw()

    def _draw(self) -> None:
        kind, runtime = self.cost.value
        history, measurements = self.session.measured_states()
        rows = (self._candidate(history, number, measured, kind, runtime) for number, measured in measurements.items())
        candidates = [row for row in rows if row is not None] + self._found(kind, runtime)
        if candidates:
            words = {"bytes": "file", "MACs": "MACs a sample", "time": f"time on {title_of(runtime)}"}[kind]
            with self.figure.update():
                self.chart.show(candidates, kind, words)

    def _candidate(
        self, history: History, number: int, measured: Measurement, kind: Quantity, runtime: str
    ) -> Candidate | None:
        role = "baseline" if number == 0 else "current" if number == history.at else "other"
        title = self._title(history, number)
        if kind != "time":
            cost = measured.bytes.total if kind == "bytes" else measured.macs
            return Candidate(title, measured.score, cost, role, number)
        latency = measured.latency.get(runtime)
        if latency is None or latency.verdict == "unknown":
            return None
        # Times of different minutes say little of each other; the ratio to the baseline in the same minute does.
        low, high = 1 / latency.ratio_high, 1 / latency.ratio_low
        return Candidate(title, measured.score, 1 / latency.ratio, role, number, low, high)

    def _found(self, kind: Quantity, runtime: str) -> list[Candidate]:
        """Return what the latest search found: the front, or while it goes on all that meet the goal so far."""
        findings = self.session.findings
        if findings is None:
            return []
        name = {"bytes": "bytes", "MACs": "macs", "time": f"latency:{runtime}"}[kind]
        shown = findings.shown if findings.done else findings.candidates
        return [
            Candidate(title_of_steps(one), one.best_score, one.costs[name], "found", one.number)
            for one in shown
            if one.verdict == "meets" and name in one.costs and one.best_score is not None
        ]

    def _title(self, history: History, number: int) -> str:
        node = history.nodes[number]
        return step_code(node.step).removeprefix("wb.") if node.step else self.session.subject.name
