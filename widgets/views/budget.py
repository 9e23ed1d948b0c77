"""The budget: a strength of its own for each layer or group, dragged or taken from a scan, and applied together."""

from __future__ import annotations

from threading import RLock
from typing import Any

import ipywidgets as W
import traitlets

from widgets import theme
from widgets.figure import script
from widgets.sending import SendingWidget
from widgets.view import View
from workbench import formatting
from workbench.errors import WorkbenchError
from workbench.jobs.progress import Progress
from workbench.search.budget import budget_steps, suggest
from workbench.search.joint import Proposal
from workbench.search.sensitivity import Table
from workbench.session.session import Session
from workbench.steps import KINDS, Step
from workbench.steps.recipe import read_step


class Bars(SendingWidget):
    """A bar a part in the page."""

    sent = "values"
    _esm = script("names.js", "tell.js", "bars.js")
    rows: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)
    low = traitlets.Float(0.0).tag(sync=True)
    high = traitlets.Float(1.0).tag(sync=True)
    step = traitlets.Float(0.01).tag(sync=True)
    label = traitlets.Unicode().tag(sync=True)
    values: traitlets.Dict[str, float] = traitlets.Dict(
        traitlets.Float(), traitlets.Unicode(), help="Part to its strength; what is not in it is left alone."
    ).tag(sync=True)
    ghosts = traitlets.Dict(help="Part to the strength that is suggested.").tag(sync=True)


class Budget(View):
    """Bars to drag; marks show what the last scan of this step suggests within a tolerated drop."""

    def __init__(self, session: Session, lock: RLock) -> None:
        super().__init__(session, lock)
        scanned = [(kind.title, name) for name, kind in KINDS.items() if kind.strength]
        self.kind = W.Dropdown(options=scanned, description="step", layout={"width": "260px"})
        self.drop = W.BoundedFloatText(
            value=0.5, min=0.0, max=100.0, step=0.1, description="points lost", layout={"width": "150px"},
            tooltip="Most that may be lost, if the drops of all parts add up: points, or the metric's unit",
        )  # fmt: skip
        self.take = W.Button(
            description="Take suggestion",
            icon="magic",
            tooltip="Set the bars to their marks, score that, and take back what costs too much together",
            layout={"width": "auto"},
        )
        self.clear = W.Button(description="Clear", icon="eraser", tooltip="Leave all alone", layout={"width": "auto"})
        self.apply = W.Button(
            description="Apply budget", icon="check", button_style="primary", tooltip="Put it into the history",
            layout={"width": "auto"},
        )  # fmt: skip
        self.bars = Bars()
        self._proposal: Proposal | None = None
        self.message, self.words = W.HTML(), W.HTML()
        self.kind.observe(self.act(self._choose), "value")
        self.drop.observe(self.act(self._suggest_again), "value")
        self.take.on_click(self.act(self._take))
        self.clear.on_click(self.act(self._clear))
        self.apply.on_click(self.act(self._apply))
        self.bars.observe(self.act(self._dragged), "values")
        first = W.HBox([self.kind, self.drop, self.take, self.clear], layout={"flex_flow": "row wrap"})
        self.root = W.VBox([first, self.words, self.bars, W.HBox([self.apply]), self.message])
        self.watch(self._fill, "history", "table")

    def steps(self) -> tuple[Step, ...]:
        """Return what Apply would do."""
        table = self._table()
        step = read_step(table.step) if table is not None else KINDS[self.kind.value]()
        return budget_steps(step, self.bars.values)

    def _table(self) -> Table | None:
        """Return the last scan, if it was of the chosen step."""
        table = self.session.table
        return table if table is not None and table.step.get("kind") == self.kind.value else None

    def _choose(self) -> None:
        with self.lock, self.quietly():
            self.bars.values = {}
            self._fill()

    def _fill(self) -> None:
        kind, table, option = KINDS[self.kind.value], self._table(), KINDS[self.kind.value].strength_option()
        facts = {layer.name: layer for layer in self.session.layers}
        if table is not None:
            names = [name for name in table.targets if not all(p.reason for p in table.points if p.target == name)]
        else:
            names = list(facts) if kind.scans == "layers" else []
        self.bars.label = option.name
        self.bars.low, self.bars.high = option.low or 0.0, option.high or 1.0
        self.bars.step = option.step or 1.0
        self.bars.rows = [
            {
                "name": name,
                "title": name,
                "note": f"{formatting.count(facts[name].params)} params" if name in facts else "",
            }
            for name in names
        ]
        self.bars.values = {name: value for name, value in self.bars.values.items() if name in names}
        self.words.value = _hint(kind, table is not None, bool(names))
        self._suggest()

    def _suggest_again(self) -> None:
        with self.lock:
            self._suggest()

    def _suggest(self) -> None:
        table = self._table()
        self.bars.ghosts = {} if table is None else suggest(table, self._tolerance(table))

    def _tolerance(self, table: Table) -> float:
        return float(self.drop.value) / (100 if table.baseline.unit == "%" else 1)

    def _take(self) -> None:
        table = self._table()
        if table is None or not self.bars.ghosts:
            raise WorkbenchError("nothing is suggested: scan this step in Sensitivity, or tolerate a larger drop")
        # The bars go to their marks at once; a bar that is moved while they are scored together is the user's.
        self._set({str(name): float(value) for name, value in self.bars.ghosts.items()})
        self.session.start("Score the suggestion", self._propose, table, self._tolerance(table), self.bars.values)

    def _propose(
        self, table: Table, tolerance: float, marks: dict[str, float], progress: Progress | None = None
    ) -> None:
        """Set the bars to what is within the tolerated drop when it is done together; on the session's worker."""
        proposal = self.session.suggest(table, tolerance, progress)
        with self.lock:
            if self._table() is None:
                return  # another step was chosen meanwhile
            if self.bars.values != marks:
                self.message.value = theme.note(f"The bars were moved meanwhile and stay. Suggested: {proposal.words}")
                return
            self._proposal = proposal
        self._set(dict(proposal.strengths))

    def _clear(self) -> None:
        with self.lock:
            self._proposal = None
        self._set({})

    def _set(self, values: dict[str, float]) -> None:
        with self.lock, self.quietly():
            self.bars.values = values
        self._dragged()

    def _dragged(self) -> None:
        steps = self.steps()
        with self.lock:
            count = len(self.bars.values)
            words = f"{count} of {len(self.bars.rows)} parts" + (f", in {len(steps)} steps" if len(steps) > 1 else "")
            proposed = self._proposal
            if proposed is not None and proposed.strengths == self.bars.values:
                words = f"{words}: {proposed.words}" if count else proposed.words
            else:
                words = words if count else ""
            self.message.value = theme.note(words)
        # Several steps together cannot be previewed, one can.
        if len(steps) == 1:
            self.session.preview(steps[0])
        else:
            self.session.take_back()

    def _apply(self) -> None:
        steps = self.steps()
        if not steps:
            raise WorkbenchError("the budget is empty: drag a bar, or take the suggestion")
        with self.lock, self.quietly():  # what is applied is not to be applied again on top
            self.bars.values = {}
            self.message.value = ""
        self.session.start("Apply the budget", self.session.extend, steps)


def _hint(kind: type[Step], scanned: bool, names: bool) -> str:
    if scanned:
        words = (
            "Orange marks: the strongest settings whose drops, as the scan found them, add up to the one tolerated. "
            "Together they may cost more: what is taken is scored first."
        )
    elif names:
        words = f"Drag a bar. Scan {kind.title} under Sensitivity to see marks of what each part takes."
    else:
        words = f"Scan {kind.title} under Sensitivity first: it finds the groups of channels that go together."
    return f"<p class='wb-hint'>{words}</p>"
