"""The search: a goal as a sentence, what is found while it runs, and each of it to look at and to take over."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import RLock

import ipywidgets as W

from widgets.data_table import DataTable
from widgets.figure import Figure
from widgets.fold import Fold
from widgets.found import details, honesty, looked_at, row, summary
from widgets.view import View
from workbench.charts import Candidate as Point
from workbench.charts import knob_chart, trade_off_chart
from workbench.charts.trade_off import Quantity, Role
from workbench.errors import WorkbenchError
from workbench.search.goal import LATENCY, Goal, quantities, quantity_title
from workbench.search.planner import Candidate, Findings
from workbench.search.planner.findings import title_of_steps
from workbench.session.session import Session

INVITATION = (
    "Tries recipes of all methods together: what a scan proposes, what is known to be good, and what a sampler thinks "
    "of; with train data they are trained too. Each point is measured. A third of validation is held out for the last "
    "comparison."
)
NARROW = {"width": "auto"}
LISTED = 12
MOST_POINTS = 400  # on the board; the newest of those that lose too much are enough to see where the limit is
PAUSE = 0.3  # seconds between two drawings, a page cannot follow faster


class SearchView(View):
    """A goal, a board that fills in, and a list of what is best so far.

    Args:
        session: What is shown.
        lock: The panel's lock.
        edit: Called when steps were put into the plan, to be seen there.
    """

    def __init__(self, session: Session, lock: RLock, edit: Callable[[], None]) -> None:
        super().__init__(session, lock)
        self._edit, self._due, self._picked = edit, 0.0, False
        self._drawn: object = ()  # no findings yet, not even that there are none
        unit = "points" if session.subject.task.metric.unit == "%" else session.subject.task.metric.name
        self.lose = W.BoundedFloatText(
            value=0.5, min=0.0, max=1e6, step=0.1, layout={"width": "56px"},
            tooltip="What the score may be worse than the untouched model's",
        )  # fmt: skip
        names = [name for name in quantities() if name.partition(":")[2] in ("", *session.settings.runtimes)]
        self.least = W.Dropdown(
            options=[(quantity_title(name), name) for name in names], layout={"width": "124px"},
            tooltip="What is to be as small as can be",
        )  # fmt: skip
        self.minutes = W.BoundedFloatText(
            value=10.0, min=0.1, max=1e5, step=1.0, layout={"width": "52px"}, tooltip="Time to search"
        )
        self.search = W.Button(
            description="Search", icon="search", button_style="primary", layout=NARROW,
            tooltip="A search that was stopped goes on from what is known",
        )  # fmt: skip
        words = (
            "Lose at most", self.lose, f"{unit}, make", self.least, "least, in", self.minutes, "min", self.search,
        )  # fmt: skip
        sentence = W.HBox([word if isinstance(word, W.Widget) else W.Label(word) for word in words])
        sentence.add_class("wb-sentence")
        self.words = W.HTML()
        self.chart, self.knobs = trade_off_chart(height=300), knob_chart()
        self.board = Figure(self.chart.figure, lock, "Score against cost of all that the search looked at")
        self.board.on_tap(self.chart.marks, self.hear(self._tap))
        self.list = W.Select(rows=6, layout={"width": "auto"})
        self.about = W.HTML()
        self.take = W.Button(
            description="Take over", icon="check", button_style="primary", layout=NARROW,
            tooltip="Do the recipe and put it into the history",
        )  # fmt: skip
        self.plan = W.Button(
            description="Edit as a plan", icon="pencil", layout=NARROW, tooltip="Put its steps into the plan"
        )
        self.mattered = W.HTML()
        self.knob_figure = Figure(self.knobs.figure, lock, "Which knobs mattered")
        self.fold = Fold(
            "Which knobs mattered, and how good the guesses were", W.VBox([self.mattered, self.knob_figure])
        )
        self.all = DataTable("search")
        self.found = W.VBox(
            [
                self.board, self.list, W.HBox([self.take, self.plan]), self.about, self.fold,
                Fold("All that was looked at, as a table", self.all),
            ]
        )  # fmt: skip
        self.root = W.VBox([sentence, self.words, self.found])
        self.search.on_click(self.act(self._search))
        self.take.on_click(self.act(self._take))
        self.plan.on_click(self.act(self._to_plan))
        self.list.observe(self.act(self._choose), "value")
        self.watch(self._grow, "findings", "jobs")

    def goal(self) -> Goal:
        """Return the goal that the sentence says."""
        return Goal(self.lose.value, self.least.value, 60 * self.minutes.value)

    def _search(self) -> None:
        self._picked = False
        self.session.start("Search", self.session.search, self.goal())

    def _chosen(self) -> Candidate:
        findings = self.session.findings
        if findings is None or self.list.value is None:
            raise WorkbenchError("choose one of what was found first")
        return findings.at(int(self.list.value))

    def _take(self) -> None:
        candidate, findings = self._chosen(), self.session.findings
        if findings is not None:
            self.session.start("Take over", self.session.apply, findings.recipe(candidate.number))

    def _to_plan(self) -> None:
        self.session.plan_candidate(self._chosen().number)
        self._edit()

    def _tap(self, place: int) -> None:
        number = int(self.chart.source.data["number"][place])
        with self.lock:
            if number not in [value for _, value in self.list.options]:
                findings = self.session.findings
                if not number or findings is None:
                    return
                self.list.options = [*self.list.options, row(findings.at(number), findings)]
            self.list.value = number

    def _grow(self) -> None:
        findings = self.session.findings
        running = any(job.active and job.title == "Search" for job in self.session.jobs)
        if findings is self._drawn or (running and time.monotonic() < self._due):
            return
        self._drawn, self._due = findings, time.monotonic() + PAUSE
        self.found.layout.display = "" if findings is not None and findings.candidates else "none"
        self.words.value = f"<p class='wb-help'>{summary(findings) if findings else INVITATION}</p>"
        if findings is not None and findings.candidates:
            self._draw(findings)

    def _draw(self, findings: Findings) -> None:
        first = findings.goal.objectives[0]
        kinds: dict[str, Quantity] = {"bytes": "bytes", "memory": "bytes", "energy": "energy"}
        kind: Quantity = "time" if first.startswith(LATENCY) else kinds.get(first, "MACs")
        with self.board.update():
            self.chart.show(_points(findings, first), kind, quantity_title(first))
        listed = _listed(findings)
        # Until somebody picks one, the best is shown, whichever it is by now; one that was picked stays.
        chosen = int(self.list.value) if self._picked and self.list.value is not None else None
        if chosen is not None and chosen not in [one.number for one in listed]:
            listed += [one for one in findings.candidates if one.number == chosen]
        options = [row(one, findings) for one in listed]
        best = findings.best
        if list(self.list.options) != options:
            self.list.options = options
            self.list.value = chosen if chosen is not None else best.number if best else None
        self._show_chosen()
        self.all.show(*looked_at(findings))
        rows = findings.mattered
        self.fold.layout.display = "" if rows or findings.proxy_correlation else "none"
        self.knob_figure.layout.display = "" if rows else "none"
        self.mattered.value = f"<p class='wb-hint'>{honesty(findings)}</p>"
        if rows:
            with self.knob_figure.update():
                self.knobs.show(rows)

    def _choose(self) -> None:
        self._picked = True
        with self.lock:
            self._show_chosen()

    def _show_chosen(self) -> None:
        findings = self.session.findings
        for button in (self.take, self.plan):
            button.disabled = self.list.value is None
        self.about.value = ""
        if findings is not None and self.list.value is not None:
            self.about.value = details(findings.at(int(self.list.value)), findings)


def _points(findings: Findings, quantity: str) -> list[Point]:
    """Return the baseline and what was scored, as points of the board."""
    before = 1.0 if quantity.startswith("latency") else findings.before.get(quantity)
    points = [Point("before the search", findings.baseline, before, "baseline")] if before is not None else []
    scored = [one for one in findings.candidates if one.best_score is not None and quantity in one.costs]
    meeting = [one for one in scored if one.verdict == "meets"]
    # What lost nearly everything was dropped at its first look; it would flatten all that counts.
    lose = max(findings.goal.tolerance(findings.baseline.unit), 0.005)
    others = [one for one in scored if one.verdict == "fails" and one.best_score and one.best_score.loss < 6 * lose]
    winner = findings.best
    for one in [*others[-MOST_POINTS:], *meeting]:
        role: Role = "too much lost" if one.verdict == "fails" else "best" if one is winner else "found"
        assert one.best_score is not None  # noqa: S101  # only scored ones are here
        timing = one.latency.get(quantity.removeprefix(LATENCY)) if quantity.startswith(LATENCY) else None
        ends = (None, None) if timing is None else (1 / timing.ratio_high, 1 / timing.ratio_low)
        title = f"{one.number}: {title_of_steps(one)}"
        points.append(Point(title, one.best_score, one.costs[quantity], role, one.number, *ends))
    return points


def _listed(findings: Findings) -> list[Candidate]:
    """Return the candidates that are listed: the front at the end, else the cheapest that meet the goal so far."""
    if findings.done:
        return list(findings.shown)
    first = findings.goal.objectives[0]
    meeting = [one for one in findings.candidates if one.verdict == "meets" and first in one.costs]
    return sorted(meeting, key=lambda one: one.costs[first])[:LISTED]
