"""The panel: the one place that knows all views."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from threading import RLock
from weakref import WeakSet

import ipywidgets as W
from IPython import get_ipython
from IPython.display import display

from widgets import theme
from widgets.figure import BokehJS
from widgets.guide import Guide
from widgets.keys import Keys
from widgets.snapshot import Snapshot
from widgets.view import View
from widgets.views.all_weights import AllWeights
from widgets.views.budget import Budget
from widgets.views.code import Code
from widgets.views.compare import Compare
from widgets.views.contest import ContestView
from widgets.views.files import Files
from widgets.views.history import States, Tools
from widgets.views.kernels import Kernels
from widgets.views.layers import Layers
from widgets.views.model_map import MapView
from widgets.views.plan import Plan
from widgets.views.search import SearchView
from widgets.views.sensitivity import Sensitivity
from widgets.views.size import SizeLedger
from widgets.views.steps import Steps
from widgets.views.structure import Structure
from widgets.views.subject import SubjectChoice
from widgets.views.tiles import Tiles
from widgets.views.trade_off import TradeOff
from widgets.views.training import Training
from widgets.views.weights import Weights
from widgets.views.who_pays import WhoPays
from widgets.views.work import Work
from workbench.model.subject import Subject
from workbench.session.session import Session


class Panel(W.VBox):
    """A session, to look at and to work on. Put it on the last line of a notebook's cell.

    Several panels may show one session. Closing a panel leaves its session as it is; opening another subject
    gives the panel a new session, in `panel.session`.

    Args:
        session: What is shown.
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.add_class("wb-panel")
        self._lock = RLock()
        self._views: list[View] = []
        self.session = session
        self._snapshot = Snapshot()
        self._show(session)

    def _show(self, session: Session) -> None:
        for view in self._views:
            view.close()
        self.session = session
        lock = self._lock
        self.subject = SubjectChoice(session, lock, self._open)
        self.tools, self.work, self.tiles = Tools(session, lock), Work(session, lock), Tiles(session, lock)
        self.layers, self.map = Layers(session, lock), MapView(session, lock)
        self.steps, self.files = Steps(session, lock), Files(session, lock)
        self.weights, self.size, self.states = (
            Weights(session, lock),
            SizeLedger(session, lock),
            States(session, lock, lambda: self.show("Compare")),
        )
        self.sensitivity, self.trade_off = Sensitivity(session, lock), TradeOff(session, lock)
        self.all_weights, self.budget, self.plan = AllWeights(session, lock), Budget(session, lock), Plan(session, lock)
        self.training, self.structure = Training(session, lock), Structure(session, lock)
        self.who_pays, self.code = WhoPays(session, lock), Code(session, lock)
        self.kernels, self.search = Kernels(session, lock), SearchView(session, lock, lambda: self.show("Compress"))
        self.contest, self.compare = ContestView(session, lock), Compare(session, lock)
        self._views = [
            self.subject, self.tools, self.work, self.tiles, self.layers, self.map, self.steps, self.files,
            self.weights, self.size, self.states, self.sensitivity, self.trade_off, self.training, self.structure,
            self.all_weights, self.budget, self.plan, self.who_pays, self.code, self.contest, self.compare,
            self.kernels, self.search,
        ]  # fmt: skip
        buttons = {
            "apply": self.steps.apply, "back": self.steps.back, "undo": self.tools.undo, "redo": self.tools.redo,
        }  # fmt: skip
        self.shortcuts = Keys({name: partial(_press, button) for name, button in buttons.items()})
        self.children = [W.HTML(theme.STYLE), BokehJS(), self.shortcuts, *self._rows()]
        for widget in _inside(self):  # a page would write "null" under the pointer of a label that has no words for it
            if getattr(widget, "description", "") and getattr(widget, "tooltip", "") is None:
                widget.tooltip = ""
        self._snapshot.watch(session)
        if 0 not in session.measurements:
            session.start("Measure the baseline", session.measure)
        self.map.begin()

    def _rows(self) -> list[W.Widget]:
        leave = W.Button(
            description="Take along", icon="download", layout={"width": "auto"},
            tooltip="Write the model or a paper on it, and download the files",
        )  # fmt: skip
        leave.on_click(lambda _: self.show("Export"))
        bar = W.HBox([self.subject.root, self.work.root, self.tools.root, leave, Guide()])
        bar.add_class("wb-top")
        self.tabs = W.Tab(
            [
                W.VBox([self.steps.root, self.weights.root, self.plan.root, self.all_weights.root]),
                W.VBox([self.contest.root, self.sensitivity.root]),
                self.budget.root,
                self.search.root,
                W.VBox([self.kernels.root, self.structure.root]),
                self.who_pays.root,
                W.VBox([self.compare.root, self.trade_off.root, self.size.root]),
                self.training.root,
                self.code.root,
                self.files.root,
            ],
            titles=[
                "Compress",
                "Sensitivity",
                "Budget",
                "Search",
                "Structure",
                "Who pays",
                "Compare",
                "Training",
                "Code",
                "Export",
            ],
        )
        left = W.Tab([self.map.root, self.layers.root], titles=["Map", "Table"])
        right = W.VBox([self.tabs])
        left.add_class("wb-left")
        right.add_class("wb-right")
        body = W.HBox([left, right])
        body.add_class("wb-body")
        return [bar, self.tiles.root, self.subject.form, self.subject.ask, body, self.states.root]

    def show(self, title: str) -> None:
        """Open the tab of a title."""
        self.tabs.selected_index = self.tabs.titles.index(title)

    def _open(self, subject: Subject, device: str = "") -> None:
        """Open a session on a subject, on the same device or on another one, to which states are taken along."""
        before = self.session
        self._show(Session(subject, replace(before.settings, device=device) if device else before.settings))
        self.session.executor = before.executor
        before.close()
        if device and len(before.history.nodes) > 1 and self.session.saved():
            self.session.start("Restore", self.session.restore)

    def close(self) -> None:
        """Take the panel off the page and off its session."""
        for view in self._views:
            view.close()
        self._views = []
        self._snapshot.watch(None)
        for widget in _inside(self):
            widget.close()
        super().close()

    def _ipython_display_(self) -> None:
        if not self._views:
            print("this panel was closed; make another one: Panel(session)")
            return
        self._replace()
        live = {**self._repr_mimebundle_(), "text/plain": "The panel, which needs a kernel."}
        display(live, raw=True)
        self._snapshot.show()

    def _replace(self) -> None:
        """Close the panels of an earlier run of this cell: nobody sees them any more, and they would go on watching."""
        shell = get_ipython()
        parent = shell.get_parent() if hasattr(shell, "get_parent") else {}
        cell, run = parent.get("metadata", {}).get("cellId"), parent.get("header", {}).get("msg_id")
        if cell is None:
            return
        before, panels = _SHOWN.get(cell, (run, WeakSet()))
        if before != run:
            for panel in [panel for panel in panels if panel is not self]:
                panel.close()
            panels = WeakSet()
        panels.add(self)
        _SHOWN[cell] = run, panels


# Cell to its last run, and the panels that were shown then.
_SHOWN: dict[str, tuple[str, WeakSet[Panel]]] = {}


def _inside(box: W.Widget) -> Iterator[W.Widget]:
    """Yield all widgets inside of a box, the innermost first."""
    for child in getattr(box, "children", ()):
        yield from _inside(child)
        yield child


def _press(button: W.Button) -> None:
    if not button.disabled:
        button.click()
