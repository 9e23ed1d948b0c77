"""The controls: a form for each kind of step. Moving one previews, Apply puts the step into the history."""

from __future__ import annotations

import glob
from dataclasses import replace
from threading import RLock

import ipywidgets as W

from widgets import theme
from widgets.forms import Form, Forms
from widgets.view import View
from workbench.session.session import Session
from workbench.steps import KINDS, TrainingStep


class Steps(View):
    """Choose a kind of step, set it, watch the tiles, apply it or take it back.

    What the controls say is the session's draft, so whoever else sets that moves the controls.
    """

    def __init__(self, session: Session, lock: RLock) -> None:
        super().__init__(session, lock)
        self.forms = Forms(KINDS, self.act(self._preview))
        self._shelves: dict[str, list[str]] = {}
        for name, kind in KINDS.items():
            self._shelves.setdefault(kind.shelf, []).append(name)
        self._last = {shelf: kinds[0] for shelf, kinds in self._shelves.items()}
        self.shelf = W.ToggleButtons(options=tuple(self._shelves), style={"button_width": "auto"})
        self.kind = W.ToggleButtons(style={"button_width": "auto"})
        self.shelf.add_class("wb-shelf")
        self.place = W.VBox()
        self.apply = W.Button(
            description="Apply", button_style="primary", icon="check", tooltip="Put it into the history (Ctrl+Enter)"
        )
        self.back = W.Button(
            description="Take back", icon="times", tooltip="Drop the preview; nothing was changed (Escape)"
        )
        self.message = W.HTML()
        self.shelf.observe(self.act(lambda: self.choose(self._last[self.shelf.value])), "value")
        self.kind.observe(self.act(lambda: self.choose(self.kind.value)), "value")
        self.apply.on_click(self.act(self._apply))
        self.back.on_click(self.act(self.session.take_back))
        buttons = W.HBox([self.apply, self.back])
        self.root = W.VBox([self.shelf, self.kind, self.place, buttons, self.message])
        if self.session.draft is None:
            self.session.draft = replace(self.forms[next(iter(KINDS))].step, layers=self._chosen())
        self.watch(self._follow, "draft")
        self.follow(self._retarget, "selection")
        self.watch(self._show, "staged", "draft")

    @property
    def form(self) -> Form:
        """The form that is shown."""
        return self.forms[self.kind.value]

    def choose(self, kind: str) -> None:
        """Show the form of a kind of step, as it was left, for the chosen layers."""
        step = replace(self.forms[kind].step, layers=self._chosen())
        self.session.take_back()
        self.session.draft = step

    def _follow(self) -> None:
        draft = self.session.draft
        if draft is None:
            return
        self._last[draft.shelf] = draft.kind
        kinds = [(KINDS[name].title, name) for name in self._shelves[draft.shelf]]
        if self.kind.options != tuple(kinds):
            self.shelf.value = draft.shelf
            self.kind.tooltips = [KINDS[name].summary for _, name in kinds]
            self.kind.options = kinds
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

    def _show(self) -> None:
        staged, draft = self.session.staged, self.session.draft
        # Known before any work is done; a form that cannot work says so and not only after Apply.
        lacks = draft.lacks(self.session.subject.task) if draft is not None else ""
        self.back.disabled, self.apply.disabled = staged is None, bool(lacks)
        if lacks:
            self.message.value = theme.note(f"Not possible here: {lacks}.", "error")
        elif staged is None:
            self.message.value = ""
        elif staged.error:
            self.message.value = theme.note(staged.error, "error")
        else:
            self.message.value = theme.note("\n".join(staged.notes))
