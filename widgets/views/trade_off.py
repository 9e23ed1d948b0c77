"""The trade-off board: every state that was tried, score against a cost; and two of them side by side."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from threading import RLock

import ipywidgets as W

from widgets.figure import Figure
from widgets.view import View
from workbench import formatting
from workbench.charts import Candidate, trade_off_chart
from workbench.charts.trade_off import Quantity
from workbench.measure import Measurement
from workbench.session.session import Session
from workbench.steps.history import History
from workbench.steps.recipe import step_code

CURRENT = -1
SIGNS = {"-": ("wb-gone", "−"), "+": ("wb-new", "+"), " ": ("", " ")}


class TradeOff(View):
    """A point for each measured state, with its intervals; a tap goes there."""

    def __init__(self, session: Session, lock: RLock) -> None:
        super().__init__(session, lock)
        self.chart = trade_off_chart()
        self.figure = Figure(self.chart.figure, lock, "Score against a cost of every state that was measured")
        self.figure.on_tap(self.chart.marks, self.hear(self._go))
        times = [(f"time, {name}", ("time", name)) for name in session.settings.runtimes]
        self.cost = W.Dropdown(
            options=[("bytes of the file", ("bytes", "")), *times, ("MACs a sample", ("MACs", ""))],
            description="against", layout={"width": "280px"},
        )  # fmt: skip
        self.first = W.Dropdown(description="compare", layout={"width": "245px"})
        self.second = W.Dropdown(description="with", layout={"width": "245px"})
        self.table = W.HTML()
        self.cost.observe(self.act(self._redraw), "value")
        self.first.observe(self.act(self._compare), "value")
        self.second.observe(self.act(self._compare), "value")
        hint = W.HTML("<p class='wb-hint'>Tap a point to go to that state.</p>")
        pair = W.HBox([self.first, self.second], layout={"flex_flow": "row wrap"})
        self.root = W.VBox([W.HBox([self.cost, hint], layout={"align_items": "center"}), self.figure, pair, self.table])
        self.watch(self._show, "history", "measurements")

    def _go(self, row: int) -> None:
        """Go to the state of a point."""
        self.session.go(int(self.chart.source.data["number"][row]))

    def _redraw(self) -> None:
        with self.lock:
            self._draw()

    def _show(self) -> None:
        self._draw()
        history, measurements = self.session.measured_states()
        known = list(measurements)
        chosen = self.first.value, self.second.value
        states = [(f"{number}  {self._title(history, number)}", number) for number in known]
        self.first.options, self.second.options = states, [("the current state", CURRENT), *states]
        first, second = chosen
        if known:
            self.first.value = first if first in known else known[0]
        self.second.value = second if second in known else CURRENT
        self._write()

    def _draw(self) -> None:
        kind, runtime = self.cost.value
        history, measurements = self.session.measured_states()
        rows = (self._candidate(history, number, measured, kind, runtime) for number, measured in measurements.items())
        candidates = [row for row in rows if row is not None]
        if candidates:
            words = {"bytes": "file", "MACs": "MACs a sample", "time": f"time on {runtime}"}[kind]
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

    def _title(self, history: History, number: int) -> str:
        node = history.nodes[number]
        return step_code(node.step).removeprefix("wb.") if node.step else self.session.subject.name

    def _compare(self) -> None:
        with self.lock:
            self._write()

    def _write(self) -> None:
        history, measurements = self.session.measured_states()
        first, second = self.first.value, self.second.value
        second = history.at if second == CURRENT else second
        if first not in measurements or second not in measurements or first == second:
            self.table.value = "<p class='wb-hint'>Choose two states to see them side by side.</p>"
            return
        seed = self.session.settings.seed
        steps = history.recipe(seed, first).differences(history.recipe(seed, second))
        self.table.value = _numbers(first, second, measurements) + _steps(steps, first, second)


def _numbers(first: int, second: int, measurements: Mapping[int, Measurement]) -> str:
    """Return both states' numbers as a table; what differs stands out."""
    before = {title: value for title, _, value in formatting.rows(measurements[first])}
    rows = []
    for what, _, value in formatting.rows(measurements[second]):
        old = before.get(what, "–")
        mark = " class='wb-differs'" if old != value else ""
        rows.append(f"<tr{mark}><th scope='row'>{escape(what)}</th><td>{escape(old)}</td><td>{escape(value)}</td></tr>")
    heads = f"<tr><th></th><th scope='col'>state {first}</th><th scope='col'>state {second}</th></tr>"
    return f"<table class='wb-compared'>{heads}{''.join(rows)}</table>"


def _steps(steps: tuple[tuple[str, str], ...], first: int, second: int) -> str:
    """Return the difference of two recipes, in colour and with signs."""
    lines = "".join(
        f"<div class='{SIGNS[sign][0]}'>{SIGNS[sign][1]} {escape(code.removeprefix('wb.'))}</div>"
        for sign, code in steps
    )
    hint = f"Steps: − only in state {first}, + only in state {second}."
    return f"<p class='wb-hint'>{hint}</p><div class='wb-diff'>{lines}</div>"
