"""The controls: a form for each kind of step. Moving one previews, Apply puts the step into the history."""

from __future__ import annotations

import glob
from threading import RLock

import ipywidgets as W

from widgets import theme
from widgets.forms import Form
from widgets.view import View
from workbench.session import Session
from workbench.steps import KINDS, TrainingStep


class Steps(View):
    """Choose a kind of step, set it, watch the tiles, apply it or take it back."""

    def __init__(self, session: Session, lock: RLock) -> None:
        super().__init__(session, lock)
        self.forms = {name: Form(kind, self.act(self._preview)) for name, kind in KINDS.items()}
        self.kind = W.ToggleButtons(options=[(kind.title, name) for name, kind in KINDS.items()], tooltips=[
            kind.summary for kind in KINDS.values()])  # fmt: skip
        self.kind.style.button_width = "auto"
        self.place = W.VBox()
        self.apply = W.Button(
            description="Apply", button_style="primary", icon="check", tooltip="Put it into the history"
        )
        self.back = W.Button(description="Take back", icon="times", tooltip="Drop the preview; nothing was changed")
        self.message = W.HTML()
        self.kind.observe(self.act(self._choose), "value")
        self.apply.on_click(self.act(self._apply))
        self.back.on_click(self.act(self.session.take_back))
        self.root = W.VBox([self.kind, self.place, W.HBox([self.apply, self.back]), self.message])
        self._choose(preview=False)
        self.watch(self._follow_selection, "selection")
        self.follow(self._preview_again, "selection")
        self.watch(self._show, "staged")

    @property
    def form(self) -> Form:
        """The form that is shown."""
        return self.forms[self.kind.value]

    def _choose(self, preview: bool = True) -> None:
        self.place.children = (self.form.root,)
        if preview:
            self.session.take_back()

    def _preview(self) -> None:
        if isinstance(self.form.step, TrainingStep):
            return
        self.session.preview(self.form.step)

    def _apply(self) -> None:
        step = self.form.step
        self.session.start(f"Apply {step.title}", self.session.apply, step)

    def _follow_selection(self) -> None:
        chosen = ", ".join(glob.escape(name) for name in self.session.selection) or "*"
        for form in self.forms.values():
            form.set(layers=chosen)

    def _preview_again(self) -> None:
        if self.session.staged is not None:
            self._preview()

    def _show(self) -> None:
        staged = self.session.staged
        self.back.disabled = staged is None
        if staged is None:
            self.message.value = ""
        elif staged.error:
            self.message.value = theme.note(staged.error, "error")
        else:
            self.message.value = theme.note("\n".join(staged.notes))
