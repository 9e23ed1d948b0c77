"""A session's traits, and what is known of each of its states."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Lock, RLock, local
from typing import Any
from weakref import ref

import torch
import traitlets
from traitlets.utils.bunch import Bunch

from workbench.errors import WorkbenchError, first_line
from workbench.graph import Group
from workbench.graph.modules import ModuleGraph
from workbench.jobs.progress import Progress
from workbench.measure import Measurement, Reference, Score, measure
from workbench.measure.evaluator import Evaluator
from workbench.measure.runtimes import Forward
from workbench.model.layers import Layer
from workbench.model.subject import Subject
from workbench.search.contest import Contest
from workbench.search.planner import Findings
from workbench.search.sensitivity import Table
from workbench.session.autosave import Autosave
from workbench.session.baseline import Baseline
from workbench.session.labels import StateLabel
from workbench.session.preview import Preview
from workbench.session.settings import Settings
from workbench.session.states import States
from workbench.session.steady import check_steady
from workbench.steps import Context, State
from workbench.steps.history import History
from workbench.steps.recipe import Recipe
from workbench.task.device import device_named
from workbench.task.task import Split


class _Held(local):
    """What a thread keeps from observers for a moment, by name of the trait; None while it tells at once."""

    changes: dict[str, Any] | None = None


class _Measuring:
    """That a state is being measured, and what came out last."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.found: ref[Measurement] | None = None  # nobody else may need it any more


class SessionCore(traitlets.HasTraits):
    """A subject, the states that were tried, and what was measured of them. Arguments as `Session`'s."""

    subject = traitlets.Instance(Subject, read_only=True, help="What is compressed; never changed.")
    history = traitlets.Instance(History, help="All states that were tried, and which one is current.")
    measurements: traitlets.Dict[int, Measurement] = traitlets.Dict(help="Node number to what was measured there.")
    selection: traitlets.Tuple = traitlets.Tuple(help="Names of the chosen layers.")
    plan: traitlets.Tuple = traitlets.Tuple(help="Steps that are to be done, one after the other.")
    draft = traitlets.Instance(
        "workbench.steps.Step", allow_none=True, help="The step that is being set by hand, applied or not."
    )
    staged = traitlets.Instance(Preview, allow_none=True, help="The preview that is shown, None if there is none.")
    table = traitlets.Instance(Table, allow_none=True, help="The latest sensitivity scan, growing while it runs.")
    standings = traitlets.Instance(
        Contest, allow_none=True, help="The latest importance contest, growing while it runs."
    )
    findings = traitlets.Instance(Findings, allow_none=True, help="The latest search, growing while it runs.")
    jobs: traitlets.Tuple = traitlets.Tuple(help="Work that waits or runs, and the last that ended.")
    curve: traitlets.Tuple = traitlets.Tuple(
        help="Figures of the running or the last training: (part done, name, value); a larger score is a better one."
    )
    error = traitlets.Unicode(help="What went wrong last, '' if nothing did.")
    saved_to = traitlets.Unicode(help="Where the last export or report was written.")
    labels: traitlets.Dict[int, StateLabel] = traitlets.Dict(help="Node number to what people say of the state.")
    compared: traitlets.Tuple = traitlets.Tuple(help="Numbers of the states that are set side by side.")
    executor = traitlets.Any(
        help="Who does scans, contests and searches: None for this process, else any `concurrent.futures.Executor`."
    )
    notice = traitlets.Unicode(help="What people should know and is no error, such as work that was dropped.")

    def __init__(self, subject: Subject, settings: Settings | None, autosave: str | Path | None) -> None:
        self._held = _Held()
        super().__init__()
        check_steady(subject.task.split("validation"), "validation")
        self._settings = settings or Settings()
        self.set_trait("subject", subject.on(device_named(self._settings.device)))
        self.history = History()
        self._baseline = self._new_baseline()
        # Held while the history is looked at and replaced, never while anybody is told of it.
        self._history_lock = RLock()
        self._measuring: dict[str, _Measuring] = defaultdict(_Measuring)
        self._autosave = Autosave(Path(autosave), self.subject) if autosave is not None else None
        self._states = States(self.subject, self._folder("training"))

    @property
    def settings(self) -> Settings:
        """How the session measures. Other settings than the seed make what was measured before void.

        Raises:
            WorkbenchError: They name another device than the session's.
        """
        return self._settings

    @settings.setter
    def settings(self, settings: Settings) -> None:
        if device_named(settings.device) != self.device:
            raise WorkbenchError(f"this session computes on {self.device}; open another one for {settings.device}")
        before, self._settings = self._settings, settings
        if replace(settings, seed=before.seed) != before:
            self._baseline.close()
            self._baseline = self._new_baseline()
            self.measurements = {}
        elif settings.seed != before.seed:
            # States with another seed are other states; the subject knows no seed.
            self.measurements = {number: one for number, one in self.measurements.items() if number == 0}

    @property
    def device(self) -> torch.device:
        """Where models compute."""
        return self.subject.device

    @property
    def recipe(self) -> Recipe:
        """The steps that lead to the current state."""
        return self.recipe_of(self.history.at)

    def recipe_of(self, number: int) -> Recipe:
        """Return the steps that lead to any state that was tried."""
        return self.history.recipe(self.settings.seed, number)

    @property
    def state(self) -> State:
        """The current model and how it is stored. Train on a copy of the model: states share their tensors."""
        return self._states.of(self.recipe, Progress())

    def state_of(self, number: int, progress: Progress | None = None) -> State:
        """Return the model of any state that was tried; built again if it is no longer at hand."""
        return self._states.of(self.recipe_of(number), progress or Progress())

    def at_hand(self, number: int) -> bool:
        """Return whether nothing has to be built, let alone trained, to get at the model of a state."""
        return self._states.has(self.recipe_of(number))

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Facts of the current model's layers."""
        return self._context().layers(self.state.model)

    def layers_of(self, state: State) -> tuple[Layer, ...]:
        """Return facts of the layers of any state."""
        return self._context().layers(state.model)

    @property
    def subject_layers(self) -> tuple[Layer, ...]:
        """Facts of the untouched subject's layers."""
        return self._context().layers(self.subject.model)

    @property
    def groups(self) -> tuple[Group, ...]:
        """Coupled channel groups of the current model; the first look traces it."""
        return self._context().groups(self.state.model)

    @property
    def module_graph(self) -> ModuleGraph:
        """The current model as a graph of its layers; the first look traces it."""
        return self._context().modules(self.state.model)

    @property
    def baseline(self) -> Measurement:
        """The untouched subject, measured on the first look."""
        return self.measure(0)

    @property
    def current(self) -> Measurement:
        """The current state, measured if it was not yet."""
        return self.measure()

    def reference(self, split: Split = "validation", progress: Progress | None = None) -> Reference:
        """Return the baseline's result on every sample of a split, computed once."""
        return self._baseline.reference(split, progress)

    def baselines(self) -> Mapping[str, Forward]:
        """Return the untouched subject, prepared for every runtime that takes it."""
        return self._baseline.runtimes()

    def measure(self, number: int | None = None, progress: Progress | None = None) -> Measurement:
        """Return what was measured of a state, by default the current one; measure it if nothing was."""
        number = self.history.at if number is None else number
        if number in self.measurements:
            return self.measurements[number]
        recipe = self.recipe_of(number)
        measured = self._measure(recipe, progress or Progress())
        # Another history may have been taken over meanwhile, in which the number means another state.
        if number < len(self.history.nodes) and self.recipe_of(number) == recipe:
            self.measurements = {**self.measurements, number: measured}
            self._save()
        return measured

    def measured_states(self) -> tuple[History, dict[int, Measurement]]:
        """Return the history and what was measured of its states, as they belong together.

        The two traits are replaced one after the other, and a view on another thread may look in between.
        """
        with self._history_lock:
            history = self.history
            return history, {n: one for n, one in sorted(self.measurements.items()) if n < len(history.nodes)}

    def _new_baseline(self) -> Baseline:
        return Baseline(self.subject, self._settings.runtimes, self._settings.memory)

    def _context(self, progress: Progress | None = None) -> Context:
        return Context(self.subject, self.settings.seed, progress or Progress())

    def _folder(self, name: str) -> Path | None:
        return self._autosave.folder / name if self._autosave else None

    def _evaluator(self, split: Split) -> Evaluator:
        return self._baseline.evaluator(split)

    def _measure(self, recipe: Recipe, progress: Progress, known: Score | None = None) -> Measurement:
        """Measure a state; whoever asks for one that is being measured waits for that and takes it.

        Args:
            recipe: Leads to the state.
            progress: Who is told.
            known: Its score, if a preview brought it.
        """
        with self._history_lock:
            measuring = self._measuring[recipe.key]
            before = measuring.found
        with measuring.lock:
            # Who measured it while this thread waited may not have put it among the measurements yet.
            fresh = measuring.found() if measuring.found is not None and measuring.found is not before else None
            measured = self._known(recipe) or fresh or self._measure_now(recipe, progress, known)
            measuring.found = ref(measured)
            return measured

    def _known(self, recipe: Recipe) -> Measurement | None:
        """Return what was measured of a recipe's state, wherever it stands in the history."""
        known = self.measurements
        return next((known[n] for n in known if n < len(self.history.nodes) and self.recipe_of(n) == recipe), None)

    def _measure_now(self, recipe: Recipe, progress: Progress, known: Score | None) -> Measurement:
        self.subject.check_untouched()
        reference = self.reference(progress=progress.part(0.0, 0.1, "baseline"))
        progress.update(0.1, "preparing runtimes")
        baselines = self.baselines()
        measured = measure(
            self._states.of(recipe, progress),
            self._context(progress.part(0.2, 1.0)),
            self._evaluator("validation"),
            reference,
            baselines,
            tolerance=self.settings.tolerance,
            seconds=self.settings.seconds,
            batch=self.settings.batch,
            known=known,
        )
        return replace(measured, unavailable={**self._baseline.refused, **measured.unavailable})

    def _change(self, change: Callable[[History], History], **values: Any) -> None:
        """Replace the history by what `change` makes of it, and other traits with it; then tell observers.

        Nobody is told while the lock is held: an observer may call the session.
        """
        with self._told_together(), self._history_lock:  # a view must see all of it or nothing
            history = change(self.history)
            measured = values.pop("measured", None)
            if measured is not None:
                self.measurements = {**self.measurements, history.at: measured}
            for name, value in values.items():
                setattr(self, name, value)
            self.history = history
            self._states.pin(history.recipe(self.settings.seed))
        self._save()

    @contextmanager
    def _told_together(self) -> Iterator[None]:
        """Tell observers of what this thread sets in the block when the block is over.

        Traitlets' own way holds the changes of all threads: one that comes while another is telling is not held, and
        would tell in the middle of its block, under locks that observers wait for.
        """
        held: dict[str, Any] = {}
        self._held.changes = held
        try:
            yield
        finally:
            self._held.changes = None
            for change in held.values():
                self.notify_change(change)

    def notify_change(self, change: Any) -> None:
        """Tell observers of a change, or keep it for the end of `_told_together`."""
        held = self._held.changes
        if held is None:
            super().notify_change(change)
        else:
            held[change.name] = change if change.name not in held else Bunch(change, old=held[change.name].old)

    def _save(self) -> None:
        if self._autosave is not None:
            try:
                self._autosave.write(self._facts())
            except OSError as error:
                self.error = f"the session could not be saved: {first_line(error)}"

    def _facts(self) -> dict[str, Any]:
        raise NotImplementedError
