"""The history: undo, redo, reset, branches, and every state that was tried."""

from __future__ import annotations

from collections.abc import Callable
from threading import RLock
from typing import Any

import ipywidgets as W

from widgets.view import View
from workbench import formatting
from workbench.session.session import Session
from workbench.steps.recipe import step_code

NARROW = {"width": "auto"}


def visit(session: Session, title: str, number: int, go: Callable[..., None], *args: Any) -> None:
    """Go to a state: at once if its model is at hand, else on the session's worker, for it may have to be trained."""
    if session.at_hand(number):
        go(*args)
    else:
        session.start(title, go, *args)


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
        self.undo.on_click(self.act(self._undo))
        self.redo.on_click(self.act(self._redo))
        self.reset.on_click(self.act(self.session.reset))
        self.restore.on_click(self.act(lambda: self.session.start("Restore", self.session.restore)))
        self.root = W.HBox([self.undo, self.redo, self.reset, self.restore])
        self.watch(self._show, "history")

    def _undo(self) -> None:
        visit(self.session, "Undo", self.session.history.undo().at, self.session.undo)

    def _redo(self) -> None:
        visit(self.session, "Redo", self.session.history.redo().at, self.session.redo)

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
        self.branch.observe(self.act(self._switch), "value")
        self.fork.on_click(self.act(self._fork))
        self.root = W.VBox([W.HBox([self.branch, self.name, self.fork]), self.list])
        self.watch(self._show, "history", "measurements")

    def _go(self) -> None:
        number = self.list.value
        if number is not None:
            visit(self.session, f"Go to state {number}", number, self.session.go, number)
            self._stand()

    def _switch(self) -> None:
        branch = self.branch.value
        if branch is not None:
            number = self.session.history.switch(branch).at
            visit(self.session, f"Go to branch {branch}", number, self.session.switch, branch)
            self._stand()

    def _stand(self) -> None:
        """Mark where the session stands, which may still be where it was."""
        with self.lock, self.quietly():
            self._show()

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
        node, measurement = self.session.history.nodes[number], self.session.measurements.get(number)
        depth = "  " * (len(self.session.history.path(number)) - 1)
        what = step_code(node.step).removeprefix("wb.") if node.step else self.session.subject.name
        if measurement is None:
            return f"{number}  {depth}{what}"
        score = formatting.score_value(measurement.score.value, measurement.score.unit)
        return f"{number}  {depth}{what}   {score}, {formatting.size(measurement.bytes.total)}"
