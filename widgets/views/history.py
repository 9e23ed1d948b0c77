"""The history: undo, redo, reset, branches, and every state that was tried."""

from __future__ import annotations

from threading import RLock

import ipywidgets as W

from widgets.view import View
from workbench import formatting
from workbench.session.session import Session
from workbench.steps.recipe import step_code

NARROW = {"width": "auto"}


class Tools(View):
    """The buttons of the top row."""

    def __init__(self, session: Session, lock: RLock) -> None:
        super().__init__(session, lock)
        self.undo = W.Button(description="Undo", icon="undo", layout=NARROW, tooltip="One step back (Ctrl+Z)")
        self.redo = W.Button(
            description="Redo", icon="repeat", layout=NARROW, tooltip="One step forward again (Ctrl+Shift+Z)"
        )
        self.reset = W.Button(
            description="Reset", icon="home", layout=NARROW, tooltip="To the untouched subject; nothing is lost"
        )
        self.restore = W.Button(
            description="Restore", icon="history", layout=NARROW, tooltip="Take up the last session on this subject"
        )
        self.undo.on_click(self.act(self.session.undo))
        self.redo.on_click(self.act(self.session.redo))
        self.reset.on_click(self.act(self.session.reset))
        self.restore.on_click(self.act(self.session.restore))
        self.root = W.HBox([self.undo, self.redo, self.reset, self.restore])
        self.watch(self._show, "history")

    def _show(self) -> None:
        history = self.session.history
        self.undo.disabled = self.reset.disabled = history.at == 0
        self.redo.disabled = not history.ahead
        self.restore.layout.display = "" if len(history.nodes) == 1 and self.session.saved() else "none"


class States(View):
    """Every state that was tried, to go back to; and branches."""

    def __init__(self, session: Session, lock: RLock) -> None:
        super().__init__(session, lock)
        self.list = W.Select(rows=9, layout={"width": "auto"})
        self.branch = W.Dropdown(description="branch", layout={"width": "260px"})
        self.name = W.Text(placeholder="name of a new branch", layout={"width": "200px"})
        self.fork = W.Button(description="Fork", icon="code-fork", layout=NARROW, tooltip="Begin a branch here")
        self.list.observe(self.act(self._go), "value")
        self.branch.observe(self.act(lambda: self.session.switch(self.branch.value)), "value")
        self.fork.on_click(self.act(self._fork))
        self.root = W.VBox([W.HBox([self.branch, self.name, self.fork]), self.list])
        self.watch(self._show, "history", "measurements")

    def _go(self) -> None:
        if self.list.value is not None:
            self.session.go(self.list.value)

    def _fork(self) -> None:
        self.session.fork(self.name.value)
        self.name.value = ""

    def _show(self) -> None:
        history = self.session.history
        self.list.options = [(self._label(node.number), node.number) for node in history.nodes]
        self.list.value = history.at
        self.branch.options = [name for name, _ in history.branches]
        self.branch.value = history.branch

    def _label(self, number: int) -> str:
        node, found = self.session.history.nodes[number], self.session.measurements.get(number)
        depth = "  " * (len(self.session.history.path(number)) - 1)
        what = step_code(node.step).removeprefix("wb.") if node.step else self.session.subject.name
        if found is None:
            return f"{number}  {depth}{what}"
        score = formatting.score_value(found.score.value, found.score.unit)
        return f"{number}  {depth}{what}   {score}, {formatting.size(found.bytes.total)}"
