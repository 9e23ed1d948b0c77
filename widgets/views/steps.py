"""The controls: a method, its form, and what it would do. Preview shows it, Apply puts it into the history."""

from __future__ import annotations

import glob
from dataclasses import replace
from threading import RLock
from typing import Any

import ipywidgets as W
import traitlets

from widgets import theme
from widgets.figure import script
from widgets.forms import Form, Forms
from widgets.sending import SendingWidget
from widgets.view import View
from workbench.errors import WorkbenchError
from workbench.session.session import Session
from workbench.steps import KINDS, Step, TrainingStep


class Methods(SendingWidget):
    """A button that says which method is chosen, and opens a list of all."""

    sent = "value"
    _esm = script("part.js", "tell.js", "methods.js")
    rows: traitlets.List[dict[str, Any]] = traitlets.List(
        help="kind, title, shelf, summary and other words of each, and why it can do nothing here."
    ).tag(sync=True)
    value = traitlets.Unicode(help="The kind that is chosen.").tag(sync=True)


class Steps(View):
    """Choose a method, set it, watch the numbers, apply it or discard it.

    What the controls say is the session's draft, so whoever else sets that moves the controls.
    """

    def __init__(self, session: Session, lock: RLock) -> None:
        super().__init__(session, lock)
        self.forms = Forms(KINDS, self.act(self._preview))
        self.kind = Methods()
        self.place = W.VBox()
        narrow = {"width": "auto"}
        self.look = W.Button(
            description="Preview", icon="eye", tooltip="Show what it would do; nothing is changed", layout=narrow
        )
        self.apply = W.Button(
            description="Apply", button_style="primary", icon="check", tooltip="Put it into the history (Ctrl+Enter)",
            layout=narrow,
        )  # fmt: skip
        self.back = W.Button(
            description="Discard", icon="times", tooltip="Drop the preview; nothing was changed (Escape)", layout=narrow
        )
        self.message = W.HTML()
        self.message.add_class("wb-said")
        self.kind.observe(self.act(lambda: self.choose(self.kind.value)), "value")
        self.look.on_click(self.act(self._preview))
        self.apply.on_click(self.act(self._apply))
        self.back.on_click(self.act(self.session.take_back))
        head = W.HBox([self.kind, self.look, self.apply, self.back])
        head.add_class("wb-step-head")
        self.root = W.VBox([head, self.message, self.place])
        if self.session.draft is None:
            self.session.draft = replace(self.forms[next(iter(KINDS))].step, layers=self._chosen())
        self._why = ""
        self.watch(self._offer, "history")
        self.watch(self._follow, "draft", "history")
        self.follow(self._retarget, "selection")
        self.watch(self._show, "staged", "draft", "jobs")

    @property
    def form(self) -> Form:
        """The form that is shown."""
        return self.forms[self.kind.value]

    def choose(self, kind: str) -> None:
        """Show the form of a kind of step, as it was left, for the chosen layers; and what it would do."""
        step = replace(self.forms[kind].step, layers=self._chosen())
        if self._why_not(step) or isinstance(step, TrainingStep):
            self.session.take_back()
            self.session.draft = step
        else:
            self.session.preview(step)

    def _offer(self) -> None:
        layers, task = self.session.layers, self.session.subject.task
        self.kind.rows = [
            {
                "kind": name,
                "title": kind.title,
                "shelf": kind.shelf,
                "summary": kind.summary,
                "also": kind.also,
                "lacks": kind().lacks(task)
                or ("" if any(map(kind().acts_on, layers)) else f"the model has no {' or '.join(kind.layer_kinds)}"),
            }
            for name, kind in KINDS.items()
        ]

    def _follow(self) -> None:
        draft = self.session.draft
        if draft is None:
            return
        self._why = self._why_not(draft)
        self.kind.value = draft.kind
        self.form.show(draft)
        if self.place.children != (self.form.root,):
            self.place.children = (self.form.root,)

    def _preview(self) -> None:
        step = self.form.step
        if isinstance(step, TrainingStep):
            self.session.draft = step
        else:
            self.session.preview(step)

    def _apply(self) -> None:
        step = self.form.step
        self.session.start(f"Apply {step.title}", self.session.apply, step)

    def _chosen(self) -> str:
        return ", ".join(glob.escape(name) for name in self.session.selection) or "*"

    def _retarget(self) -> None:
        if self.session.draft is None:
            return
        step = replace(self.session.draft, layers=self._chosen())
        if self.session.staged is not None:
            self.session.preview(step)
        else:
            self.session.draft = step

    def _why_not(self, step: Step) -> str:
        """Return why a step can do nothing here, known before any work is done; "" if it can."""
        if lacks := step.lacks(self.session.subject.task):
            return f"Not possible here: {lacks}."
        try:
            step.chosen(self.session.layers)
        except WorkbenchError as error:
            return f"Not possible here: {error}."
        return ""

    def _show(self) -> None:
        staged, draft = self.session.staged, self.session.draft
        why, title = self._why, f"Apply {draft.title}" if draft is not None else ""
        error = staged.error if staged is not None and staged.step == draft else ""
        busy = any(job.active and job.title == title for job in self.session.jobs)
        self.back.disabled, self.apply.disabled = staged is None, bool(why or error or busy)
        self.look.disabled = bool(why) or isinstance(draft, TrainingStep)
        if why or error:
            text, kind = why or error, "error"
        elif busy:
            text, kind = "It is being applied; what is seen is what the preview found.", "note"
        elif isinstance(draft, TrainingStep):
            text, kind = "It trains, so what it gives is known when it has run.", "note"
        elif staged is not None and draft is not None and staged.step.kind == draft.kind:
            text, kind = "\n· ".join(staged.notes), "note"  # on one line until it is pointed at
        else:
            text, kind = "", "note"
        # One line of a fixed height; the rest is read under the pointer, so that no message moves the form.
        self.message.value = theme.note(text, kind)
