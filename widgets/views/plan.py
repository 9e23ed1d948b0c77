"""The plan: several steps to be done in one go, from a preset or put together by hand."""

from __future__ import annotations

import html
from threading import RLock

import ipywidgets as W

from widgets.fold import Fold
from widgets.view import View
from workbench.errors import WorkbenchError
from workbench.jobs.progress import Progress
from workbench.search.presets import PRESETS
from workbench.session.session import Session
from workbench.steps import TrainingStep
from workbench.steps.recipe import step_code

NARROW = {"width": "auto"}


class Plan(View):
    """A list of steps to change and to run. A preset only fills it."""

    def __init__(self, session: Session, lock: RLock) -> None:
        super().__init__(session, lock)
        self.preset = W.Dropdown(
            options=[("choose a preset …", ""), *((preset.title, name) for name, preset in PRESETS.items())],
            description="preset", tooltip="Steps for a goal, to be changed before they run", layout={"width": "280px"},
        )  # fmt: skip
        self.about = W.HTML()
        self.list = W.Select(rows=4, layout={"width": "auto"})
        self.edit = W.Button(
            description="Edit", icon="pencil", layout=NARROW, tooltip="Show the step in the form above"
        )
        self.update = W.Button(
            description="Replace by form",
            icon="refresh",
            layout=NARROW,
            tooltip="Replace the step by what the form says",
        )
        self.remove = W.Button(description="Remove", icon="trash", layout=NARROW, tooltip="Take the step out")
        self.add = W.Button(description="Add the form", icon="plus", layout=NARROW, tooltip="Append what the form says")
        self.run = W.Button(
            description="Run the plan", icon="play", layout=NARROW, button_style="primary", tooltip="Do them one by one"
        )
        self.preset.observe(self.act(self._choose), "value")
        self.edit.on_click(self.act(self._edit))
        self.update.on_click(self.act(self._update))
        self.remove.on_click(self.act(self._remove))
        self.add.on_click(self.act(self._add))
        self.run.on_click(self.act(self._run))
        buttons = W.HBox([self.edit, self.update, self.remove, self.add, self.run], layout={"flex_flow": "row wrap"})
        self.root = Fold(
            "Presets and plans: several steps in one go", W.VBox([self.preset, self.about, self.list, buttons])
        )
        self.watch(self._show, "plan")

    def _choose(self) -> None:
        name = self.preset.value
        if name:
            self.session.start(f"Plan: {PRESETS[name].title}", self._make, name)

    def _make(self, name: str, progress: Progress) -> None:
        progress.update(0.0, "sizing the steps up")
        preset, subject = PRESETS[name], self.session.subject
        steps = preset.recipe(subject).steps
        self.session.plan = steps
        if any(isinstance(step, TrainingStep) for step in steps):
            said = "There is training in it, so what it comes to is known when it has run."
        else:
            said = preset.outcome(subject, self.session.foresee(steps, progress.part(0.3, 1.0)))
        with self.lock:
            # The plan may have been changed meanwhile, and would be another than what was measured.
            if self.session.plan == steps and self.preset.value == name:
                self.about.value += f"<p class='wb-hint'>{html.escape(said)}</p>"

    def _place(self) -> int:
        if self.list.index is None:
            raise WorkbenchError("choose a step of the plan first")
        return int(self.list.index)

    def _edit(self) -> None:
        step = self.session.plan[self._place()]
        self.session.take_back()
        self.session.draft = step

    def _update(self) -> None:
        place, plan = self._place(), list(self.session.plan)
        plan[place] = self.session.draft
        self.session.plan = tuple(plan)
        with self.lock:
            self.list.index = place

    def _remove(self) -> None:
        place = self._place()
        self.session.plan = (*self.session.plan[:place], *self.session.plan[place + 1 :])

    def _add(self) -> None:
        if self.session.draft is not None:
            self.session.plan = (*self.session.plan, self.session.draft)

    def _run(self) -> None:
        if not self.session.plan:
            raise WorkbenchError("the plan is empty: choose a preset, or add what the form says")
        self.session.start("Run the plan", self.session.extend, self.session.plan)

    def _show(self) -> None:
        plan = self.session.plan
        self.list.options = [
            (f"{place}  {step_code(step).removeprefix('wb.')}", place) for place, step in enumerate(plan, 1)
        ]
        for button in (self.edit, self.update, self.remove, self.run):
            button.disabled = not plan
        name = self.preset.value
        self.about.value = f"<p class='wb-hint'>{PRESETS[name].summary}</p>" if name else ""
