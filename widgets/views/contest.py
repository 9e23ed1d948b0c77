"""The importance contest: the same units ranked by every criterion, and what the score does as each is followed."""

from __future__ import annotations

import glob
from html import escape
from threading import RLock

import ipywidgets as W

from widgets.figure import Figure
from widgets.fold import Fold
from widgets.view import View
from workbench import formatting
from workbench.charts import contest_curves, contest_map
from workbench.errors import WorkbenchError
from workbench.search.contest import Contest
from workbench.session.session import Session

INVITATION = (
    "Ranks the channels or weights of the chosen layers (of all, with none chosen) by every criterion, and measures "
    "the score as the least important ones go. The best one's curve falls last; the dashed one is chance."
)


class ContestView(View):
    """A button, and two charts that fill in; progress and cancel are those of all work."""

    def __init__(self, session: Session, lock: RLock) -> None:
        super().__init__(session, lock)
        self.units = W.Dropdown(options=("channels", "weights"), description="units", layout={"width": "200px"})
        self.ranking = W.Dropdown(
            options=("local", "global"), description="ranking", layout={"width": "200px"},
            tooltip="Local takes the same part of every layer, global ranks all together",
        )  # fmt: skip
        self.amounts = W.Text(value="0.1, 0.3, 0.5, 0.7", description="parts gone", layout={"width": "230px"})
        self.tolerance = W.BoundedFloatText(
            value=1.0, min=0.05, max=20.0, step=0.1, description="± points", tooltip="Precision of a point",
            layout={"width": "170px"},
        )  # fmt: skip
        self.hold = W.Button(
            description="Hold contest", icon="trophy", button_style="primary", tooltip=INVITATION,
            layout={"width": "auto"},
        )  # fmt: skip
        self.words = W.HTML()
        self.curves, self.map = contest_curves(), contest_map()
        self.curves_figure = Figure(self.curves.figure, lock, "Score as each criterion's ranking is followed")
        self.map_figure = Figure(self.map.figure, lock, "How alike the criteria's rankings are")
        self.charts = W.VBox([self.curves_figure, W.HTML("<b>How alike the rankings are</b>"), self.map_figure])
        row = W.HBox(
            [self.units, self.ranking, self.amounts, self.tolerance, self.hold], layout={"flex_flow": "row wrap"}
        )
        self.root = Fold("Importance contest: which criterion is right here", W.VBox([row, self.words, self.charts]))
        self.hold.on_click(self.act(self._hold))
        self.watch(self._show, "standings")

    def _hold(self) -> None:
        try:
            amounts = tuple(float(part) for part in self.amounts.value.split(",") if part.strip())
        except ValueError:
            raise WorkbenchError(f"parts are numbers with commas between them, not {self.amounts.value!r}") from None
        factor = 100 if self.session.subject.task.metric.unit == "%" else 1
        title, layers = "Importance contest", ", ".join(glob.escape(name) for name in self.session.selection) or "*"
        self.session.start(
            title, self.session.contest, units=self.units.value, layers=layers, amounts=amounts,
            ranking=self.ranking.value, tolerance=self.tolerance.value / factor,
        )  # fmt: skip

    def _show(self) -> None:
        contest = self.session.standings
        self.charts.layout.display = "" if contest else "none"
        self.words.value = _words(contest)
        if contest is None:
            return
        with self.curves_figure.update():
            self.curves.show(contest)
        with self.map_figure.update():
            self.map.show(contest)


def _words(contest: Contest | None) -> str:
    if contest is None:
        return f"<p class='wb-help'>{INVITATION}</p>"
    order = contest.order
    silent = [f"{escape(entry.title)}: {escape(entry.reason)}" for entry in contest.entries if entry.reason]
    whole = bool(order) and all(len(entry.curve) == len(contest.amounts) for entry in order)
    best = ""
    if whole:
        best = f"Best on average: <b>{escape(order[0].title)}</b>, ranked in {formatting.seconds(order[0].seconds)}. "
    parts = f"{sum(count for _, count in contest.parts):,} {contest.units} of {len(contest.parts)} parts were ranked. "
    none = f"Without: {'; '.join(silent)}." if silent else ""
    return f"<p class='wb-help'>{best}{parts}{none}</p>"
