"""The history: undo, redo, reset, and every state that was tried."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import RLock
from typing import Any

import anywidget
import ipywidgets as W
import traitlets

from widgets.figure import script
from widgets.view import View
from workbench import formatting
from workbench.measure import Measurement
from workbench.session.labels import StateLabel
from workbench.session.record import step_title
from workbench.session.session import Session
from workbench.steps.history import Node

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
        for button in (self.undo, self.redo, self.reset):
            button.add_class("wb-icon")
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


class StateCards(anywidget.AnyWidget):
    """A line of cards in the page."""

    _esm = script("part.js", "cards.js")
    rows: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)
    compared: traitlets.List[int] = traitlets.List().tag(sync=True)


class States(View):
    """Every state that was tried, to go back to, to name and to set side by side.

    Args:
        session: What is shown.
        lock: The panel's lock.
        compare: Called when the chosen states are to be seen side by side.
    """

    def __init__(self, session: Session, lock: RLock, compare: Callable[[], None]) -> None:
        super().__init__(session, lock)
        self._compare = compare
        self.root = StateCards()
        self.root.on_msg(lambda _, message, __: self.receive(message))
        self.watch(self._show, "history", "measurements", "labels")
        self.watch(self._mark, "compared")

    def receive(self, message: Mapping[str, Any]) -> None:
        """Work off what a page sends.

        It is {"go": number}, {"compare": numbers}, {"show": True} or {"label": number, "name": ..., "star": ...}.
        """
        self.hear(self._take)(message)

    def _take(self, message: Mapping[str, Any]) -> None:
        if isinstance(number := message.get("go"), int):
            visit(self.session, f"Go to state {number}", number, self.session.go, number)
        if isinstance(numbers := message.get("compare"), list):
            self.session.compared = tuple(number for number in numbers if isinstance(number, int))
        if message.get("show"):
            self._compare()
        if isinstance(number := message.get("label"), int):
            kinds: dict[str, type] = {"name": str, "note": str, "star": bool, "deleted": bool}
            changes = {name: message[name] for name, kind in kinds.items() if isinstance(message.get(name), kind)}
            self.session.label(number, **changes)

    def _mark(self) -> None:
        self.root.compared = list(self.session.compared)

    def _show(self) -> None:
        history, measurements = self.session.measured_states()
        labels = self.session.labels
        self.root.rows = [
            self._row(node, measurements.get(node.number), node.number == history.at)
            for node in history.nodes
            if not labels.get(node.number, StateLabel()).deleted or node.number == history.at
        ]

    def _row(self, node: Node, measured: Measurement | None, current: bool) -> dict[str, Any]:
        label = self.session.labels.get(node.number, StateLabel())
        row = {
            "number": node.number, "title": step_title(node.step) if node.step else self.session.subject.name,
            "name": label.name, "note": label.note, "star": label.star, "current": current,
            "deletable": node.number > 0 and not current, "score": "…", "change": "", "verdict": "", "costs": "",
        }  # fmt: skip
        if measured is None:
            return row
        score, times = measured.score, list(measured.latency.values())
        row["score"] = formatting.score_value(score.value, score.unit)
        if node.number:
            row["change"] = formatting.points(score.change, score.unit)
            row["verdict"] = "bad" if score.loss > 0 else "good" if score.loss < 0 else ""
        fastest = min((timing.median for timing in times), default=None)
        costs = [formatting.size(measured.bytes.total), *([formatting.latency(fastest)] if fastest else [])]
        row["costs"] = " · ".join(costs)
        return row
