"""The session: the one observable state that every view shows, and that runs as well without any."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from pathlib import Path
from threading import RLock
from typing import Any, cast

import traitlets

from workbench.autosave import Autosave
from workbench.budget import budget_steps
from workbench.contest import Contest, hold_contest
from workbench.errors import WorkbenchError
from workbench.evaluator import Evaluator
from workbench.graph import Group
from workbench.history import History
from workbench.impact import Impact, Predictions, compare, predictions
from workbench.jobs import Job, Jobs
from workbench.layers import Layer
from workbench.live import Bench, Live, Preview, candidate
from workbench.measure import Measurement, Reference, Score, measure, measure_size, refer, score
from workbench.measure.latency import Latency
from workbench.pace import Clock, by_parts, by_strength, check_part, graded, mildest
from workbench.progress import TRAINING, Progress
from workbench.recipe import Recipe, run, step_code
from workbench.runtimes import RUNTIMES, Forward
from workbench.script import replay_script
from workbench.search import allocate, bit_operations_of, file_bytes
from workbench.sensitivity import Table, scan, worse
from workbench.states import States
from workbench.steps import Context, State, Step
from workbench.subject import Subject
from workbench.task import Split
from workbench.trials import Aim, Ground

ROUNDS = 5  # in which a choice for a budget of bytes is corrected


@dataclass(frozen=True)
class Settings:
    """How a session measures.

    Attributes:
        tolerance: Half-width of the score's interval that is enough for an applied step; 0 scores every sample.
        seconds: Time for each runtime's latency.
        batch: Samples in one forward pass, for latency and memory.
        runtimes: What latency is measured on.
        seed: Of all chance in steps.
        memory: Bytes that may be used to keep what enters an edited layer, None for a quarter of what is free.
    """

    tolerance: float = 0.0
    seconds: float = 1.0
    batch: int = 1
    runtimes: tuple[str, ...] = tuple(RUNTIMES)
    seed: int = 0
    memory: int | None = None


class Session(traitlets.HasTraits):
    """A subject being compressed. Observe its traits; every one holds immutable plain values.

    Methods do their work before they return. `start` does the same on the session's worker thread, with
    progress and cancel, which is what a panel uses.

    Args:
        subject: What is compressed.
        settings: How it is measured.
        threaded: False does background work and previews on the caller's thread.
        autosave: Folder for the session's file and the scans' cache, None to keep nothing on disk.
    """

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
    jobs: traitlets.Tuple = traitlets.Tuple(help="Work that waits or runs, and the last that ended.")
    curve: traitlets.Tuple = traitlets.Tuple(
        help="Figures of the running or the last training: (part done, name, value); a larger score is a better one."
    )
    error = traitlets.Unicode(help="What went wrong last, '' if nothing did.")
    saved_to = traitlets.Unicode(help="Where the last export or report was written.")

    def __init__(
        self,
        subject: Subject,
        settings: Settings | None = None,
        *,
        threaded: bool = True,
        autosave: str | Path | None = ".workbench",
    ) -> None:
        super().__init__()
        self.set_trait("subject", subject)
        self.settings = settings or Settings()
        self.history = History()
        self._references: dict[Split, Reference] = {}
        self._evaluators: dict[Split, Evaluator] = {}
        self._baselines: dict[str, Forward] = {}
        self._refused: dict[str, str] = {}
        self._surveyed: Predictions | None = None
        self._trained = 0
        # The baseline's lock is held while it is scored, and progress is shown meanwhile; so nothing that a view may
        # ask for while it is drawn takes it. The evaluators' lock is never held for longer than a look.
        self._baseline_lock, self._evaluators_lock = RLock(), RLock()
        self._autosave = Autosave(Path(autosave), subject) if autosave is not None else None
        self._states = States(subject, self._folder("training"))
        self._jobs = Jobs(threaded=threaded, changed=self._show_jobs, failed=self._show_failure)
        self._live = Live(self._show_preview, threaded=threaded)

    # What is looked at

    @property
    def recipe(self) -> Recipe:
        """The steps that lead to the current state."""
        return self.history.recipe(self.settings.seed)

    @property
    def state(self) -> State:
        """The current model and how it is stored; built again if it is no longer kept."""
        return self._states.of(self.recipe, Progress())

    def state_of(self, number: int) -> State:
        """Return the model of any state that was tried; built again if it is no longer kept."""
        return self._states.of(self.history.recipe(self.settings.seed, number), Progress())

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Facts of the current model's layers."""
        return self._context().layers(self.state.model)

    @property
    def subject_layers(self) -> tuple[Layer, ...]:
        """Facts of the untouched subject's layers."""
        return self._context().layers(self.subject.model)

    @property
    def groups(self) -> tuple[Group, ...]:
        """Coupled channel groups of the current model; the first look traces it."""
        return self._context().groups(self.state.model)

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
        with self._baseline_lock:
            if split not in self._references:
                evaluator, state = self._evaluator(split), State.of(self.subject)
                made = refer(evaluator, state, self.subject.task.metric, split, progress)
                # Only all samples together may show that the metric cannot judge them apart.
                self.subject.task.metric = made.metric
                self._references[split] = made
            return self._references[split]

    def baselines(self) -> Mapping[str, Forward]:
        """Return the untouched subject, prepared for every runtime that takes it."""
        with self._baseline_lock:
            if not self._baselines:
                state, example = State.of(self.subject), self._context().example()
                for name in self.settings.runtimes:
                    try:
                        self._baselines[name] = RUNTIMES[name](state, example)
                    except Exception as error:  # a runtime refuses a model in its own ways; the others still stand
                        self._refused[name] = str(error)
            return dict(self._baselines)

    def measure(self, number: int | None = None, progress: Progress | None = None) -> Measurement:
        """Return what was measured of a state, by default the current one; measure it if nothing was."""
        number = self.history.at if number is None else number
        if number not in self.measurements:
            progress = progress or Progress()
            found = self._measure(self.history.recipe(self.settings.seed, number), progress)
            self.measurements = {**self.measurements, number: found}
            self._save()
        return self.measurements[number]

    def code(self) -> str:
        """Return the Python that leads to the current state."""
        default = Settings()
        changed = {name: value for name, value in vars(self.settings).items() if value != getattr(default, name)}
        return replay_script(self.subject.name, self.subject.source, changed, [step_code(step) for step in self.recipe])

    def test_score(self, progress: Progress | None = None) -> Score | None:
        """Return the current state's exact score on the test split, None if the task has none.

        It is for what leaves the session: an export or a report. Nothing is to be chosen by it.
        """
        if not self.subject.task.has("test"):
            return None
        reference = self.reference("test", progress)
        if not self.recipe.steps:
            return reference.score
        return score(self._evaluator("test").prepare(self.state), reference, 0.0, progress)

    # What is done

    def preview(self, step: Step) -> None:
        """Show what a step would do, in `staged`, without doing it. A newer preview replaces an older one."""
        self.draft = step
        # The state is fetched by the worker: it may have to be built first, and a slider must not wait for that.
        bench = Bench(
            self._context(), lambda: self.state, self.reference, self._evaluator("validation"), self.baselines
        )
        self._live.request(step, bench)

    def take_back(self) -> None:
        """Drop the preview."""
        self._live.cancel()

    def apply(self, step: Step, progress: Progress | None = None) -> Measurement:
        """Do a step, measure the result, and return the measurement.

        Raises:
            WorkbenchError: The step cannot be done; the session is as it was.
            Cancelled: It was told to stop; the session is as it was.
        """
        progress = progress or Progress()
        start = self.history.at
        planned = self.history.apply(step)
        recipe = planned.recipe(self.settings.seed)
        self._live.cancel()
        self._states.of(recipe, progress.part(0.0, 0.5))
        found = self.measurements.get(planned.at) if planned.nodes == self.history.nodes else None
        found = found or self._measure(recipe, progress.part(0.5, 1.0))
        # Someone may have gone elsewhere or begun a branch meanwhile; that is kept, and the step goes where it began.
        history = (self.history if self.history.at == start else self.history.go(start)).apply(step)
        with self.hold_trait_notifications():  # a view must not see a measurement of a state it does not know yet
            self.measurements = {**self.measurements, history.at: found}
            self._move(history)
        return found

    def extend(self, steps: Iterable[Step], progress: Progress | None = None) -> Measurement:
        """Do several steps one after the other, measure the last result, and return the measurement.

        Raises:
            WorkbenchError: A step cannot be done; the session is as it was.
            Cancelled: It was told to stop; the session is as it was.
        """
        progress = progress or Progress()
        start = self.history.at
        planned = tuple(steps)
        done = Recipe((*self.recipe.steps, *planned), self.settings.seed)
        self._live.cancel()
        self._states.of(done, progress.part(0.0, 0.7))
        history = self.history if self.history.at == start else self.history.go(start)
        for step in planned:
            history = history.apply(step)
        self._move(history)
        return self.measure(progress=progress.part(0.7, 1.0))

    def replay(self, recipe: Recipe, progress: Progress | None = None) -> Measurement:
        """Do all steps of a recipe from the untouched subject on, and return the measurement of the last.

        Raises:
            WorkbenchError: A step cannot be done; the session is as it was.
        """
        progress = progress or Progress()
        history = self.history.go(0)
        for step in recipe:
            history = history.apply(step)
        self._states.of(recipe, progress.part(0.0, 0.7))
        if recipe.seed != self.settings.seed:
            self.settings = replace(self.settings, seed=recipe.seed)
            # What was measured of states with another seed says nothing of these; the subject knows no seed.
            self.measurements = {n: found for n, found in self.measurements.items() if n == 0}
        self._move(history)
        return self.measure(progress=progress.part(0.7, 1.0))

    def undo(self) -> None:
        """Go one step back."""
        self._move(self.history.undo())

    def redo(self) -> None:
        """Go one step forward again."""
        self._move(self.history.redo())

    def fork(self, name: str) -> None:
        """Begin a branch here; the one before keeps what it has."""
        self._move(self.history.fork(name))

    def switch(self, branch: str) -> None:
        """Go to the end of a branch."""
        self._move(self.history.switch(branch))

    def go(self, number: int) -> None:
        """Go to any state that was tried."""
        self._move(self.history.go(number))

    def reset(self) -> None:
        """Go back to the untouched subject; what was tried stays in the history."""
        self._move(self.history.go(0))

    def sensitivity(
        self,
        step: Step,
        amounts: Sequence[float] = (),
        *,
        tolerance: float = Aim.tolerance,
        relative: float = Aim.relative,
        seconds: float | None = None,
        executor: Executor | None = None,
        progress: Progress | None = None,
    ) -> Table:
        """Return how the score takes `step` on each layer or group alone, at several strengths.

        The table grows in `table` meanwhile; a scan that was stopped goes on where it was.

        Args:
            step: Its layers say which parts; its strength is varied.
            amounts: Strengths; the step's own list by default.
            tolerance: Half-width of an interval that is enough, in the metric's unit; 0 scores every sample.
            relative: A half-width of this part of the change is enough too: a large drop needs no precision.
            seconds: Time to spend, None for as much as it takes.
            executor: Who does the work, such as a process pool or `dask.distributed.Client().get_executor()`.
            progress: Who is told, and may stop it.
        """
        progress = progress or Progress()
        number, ground = self.history.at, self._ground(progress)
        lost = worse(self.measure(number, progress.part(0.0, 0.05)).score) if number else 0.0

        def grow(table: Table) -> None:
            self.table = replace(table, state=number, lost=lost)

        self.table = None
        table = scan(
            ground,
            step,
            amounts,
            aim=Aim(tolerance, relative),
            seconds=seconds,
            executor=executor,
            folder=self._folder("scans"),
            found=grow,
        )
        self.table = replace(table, state=number, lost=lost)
        return self.table

    def allocate(
        self,
        step: Step,
        amounts: Sequence[float] = (),
        *,
        bytes: int | None = None,  # noqa: A002  # the name that a measurement has for it
        bit_operations: float | None = None,
        tolerance: float = 0.002,
        progress: Progress | None = None,
    ) -> tuple[Step, ...]:
        """Return steps that give each part a strength of its own, within a budget and with the least drop in sum.

        Parts are scanned first. Nothing is applied: `extend` does it, and measures what parts cost together.

        Args:
            step: Its strength is varied, such as the bits of `Quantize`.
            amounts: Strengths to choose from; the step's own list by default.
            bytes: Of the whole file.
            bit_operations: Of the whole model for one sample: MACs times the bits of weights and activations. It is
                for steps whose strength counts bits.
            tolerance: Half-width of an interval that is enough in the scan; small, because many drops are added up.
            progress: Who is told, and may stop it.

        Raises:
            WorkbenchError: Not exactly one budget is given, or it cannot be kept.
        """
        if (bytes is None) == (bit_operations is None):
            raise WorkbenchError("give one budget: bytes, or bit_operations")
        progress = progress or Progress()
        table = self.sensitivity(step, amounts, tolerance=tolerance, progress=progress.part(0.0, 0.9))
        if bytes is None:
            cost = bit_operations_of(step, self._context().layers(self.state.model))
            return budget_steps(step, allocate(table, cost, cast(float, bit_operations)))
        whole = measure_size(self.state.model, self.state.codings, self.subject).total
        limit, cost = float(bytes), file_bytes(table, whole)
        for _ in range(ROUNDS):
            steps = budget_steps(step, allocate(table, cost, limit))
            built = run(self.subject, Recipe(steps, self.settings.seed), progress.part(0.9, 1.0), (0, self.state))
            over = measure_size(built.model, built.codings, self.subject).total - bytes
            if over <= 0:
                return steps
            limit -= over  # a file's header is shared, so bytes of single parts do not quite add up
        raise WorkbenchError(f"no choice was found that keeps within {bytes:,} bytes")

    def pace(
        self, step: Step, part: float, runtime: str = "onnxruntime", progress: Progress | None = None
    ) -> tuple[Step, Latency]:
        """Return the mildest form of `step` that takes `part` of the baseline's latency away, and what was measured.

        A step whose strength goes by degrees, such as an amount, gets the least that is enough. One whose strength
        does not, such as bits, gets the fewest parts of the model that are enough, those first that lose least; for
        that the parts are scanned. Nothing is applied.

        Args:
            step: Its other options are kept.
            part: Between 0 and 1; of 0.5 the model is twice as fast.
            runtime: Where it is timed.
            progress: Who is told, and may stop it.

        Raises:
            WorkbenchError: The step has no strength, so much cannot go, or the runtime is not measured here.
            Cancelled: It was told to stop.
        """
        check_part(part)
        baseline = self.baselines().get(runtime)
        if baseline is None:
            why = self._refused.get(runtime, f"the session measures on {', '.join(self.settings.runtimes)}")
            raise WorkbenchError(f"latency on {runtime} cannot be measured: {why}")
        progress, scanned = progress or Progress(), 0.0
        if graded(step):
            steps = by_strength(step)
        else:
            scanned = 0.6
            strength = getattr(step, step.strength)
            steps = by_parts(step, self.sensitivity(step, (strength,), progress=progress.part(0.0, scanned)))
        clock = Clock(baseline, self.subject.task.example(self.settings.batch), runtime, self.settings.seconds)
        return mildest(steps, self.state, self._context(progress.part(scanned, 1.0)), part, clock)

    def contest(self, progress: Progress | None = None, **options: Any) -> Contest:
        """Return how every importance criterion ranks the same units, and what follows; options as `hold_contest`.

        The contest grows in `standings` meanwhile.
        """
        progress = progress or Progress()
        tell = options.pop("found", lambda _: None)

        def grow(contest: Contest) -> None:
            self.standings = contest
            tell(contest)

        return hold_contest(self._ground(progress), found=grow, **options)

    def impact(self, step: Step | None = None, progress: Progress | None = None) -> Impact:
        """Return which classes and samples of validation pay for the current state, or for it after one more step.

        Raises:
            WorkbenchError: The step cannot be done, or the metric says nothing of single samples.
            Cancelled: It was told to stop.
        """
        progress = progress or Progress()
        reference, evaluator = self.reference(progress=progress.part(0.0, 0.1)), self._evaluator("validation")
        if self._surveyed is None:
            plain = evaluator.prepare(State.of(self.subject))
            self._surveyed = predictions(plain, reference, progress.part(0.1, 0.45, "baseline"))
        context = self._context(progress.part(0.45, 0.6))
        built, overlay = candidate(self.state, step, context) if step is not None else (self.state, {})
        after = predictions(evaluator.prepare(built, overlay), reference, progress.part(0.6, 1.0))
        return compare(self._surveyed, after, reference, self.subject.task.classes)

    def export(
        self,
        folder: str | Path,
        formats: Iterable[str] = ("safetensors", "onnx", "pt2"),
        progress: Progress | None = None,
    ) -> Path:
        """Write the current state as a folder of verified files, and return the folder.

        Raises:
            WorkbenchError: A file cannot be made, or does not give the session's predictions when reloaded;
                then nothing is left behind.
        """
        from workbench.export import export  # the exporters are heavy and seldom needed

        progress = progress or Progress()
        measurement = self.measure(progress=progress.part(0.0, 0.3))
        test = self.test_score(progress.part(0.3, 0.5))
        record = self._record(measurement, test)
        context = self._context(progress.part(0.5, 1.0))
        done = export(Path(folder), self.state, self.recipe, record, self.reference(), context, tuple(formats))
        self.saved_to = str(done)
        return done

    def report(self, path: str | Path, progress: Progress | None = None) -> Path:
        """Write up the session as .html, .ipynb, .md or .pdf (by the ending), and return the file.

        Raises:
            WorkbenchError: The ending is not known, or a PDF is asked for and there is no Chromium.
        """
        from workbench.report import write_report  # nbconvert is heavy and seldom needed

        progress = progress or Progress()
        done: Path = write_report(Path(path), self, progress)
        self.saved_to = str(done)
        return done

    def start(self, title: str, work: Callable[..., Any], *args: Any, **options: Any) -> Future[Any]:
        """Do `work(*args, progress=...)` on the worker thread: `session.start("Scan", session.sensitivity, step)`."""
        self.error = ""
        return self._jobs.submit(title, lambda progress: work(*args, progress=progress, **options))

    def cancel(self) -> None:
        """Stop running and waiting work."""
        self._jobs.cancel()

    def close(self) -> None:
        """Stop everything and end the worker threads."""
        self._live.close()
        self._jobs.close()
        for evaluator in self._evaluators.values():
            evaluator.close()

    # What was saved

    def saved(self) -> tuple[Path, ...]:
        """Return files of earlier sessions on this subject, the newest first."""
        return self._autosave.earlier() if self._autosave else ()

    def restore(self, path: str | Path | None = None) -> None:
        """Take over history and measurements of an earlier session, by default the newest.

        Raises:
            WorkbenchError: There is none, or the file is damaged.
        """
        found = Path(path) if path is not None else next(iter(self.saved()), None)
        if found is None:
            raise WorkbenchError("there is no earlier session on this subject")
        try:
            facts = json.loads(found.read_text(encoding="utf-8"))
            history = History.read(facts["history"])
            measurements = {int(n): Measurement.read(value) for n, value in facts["measurements"].items()}
        except WorkbenchError as error:
            raise error.within(str(found)) from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise WorkbenchError(f"{found} cannot be read as a session: {error}") from error
        self._live.cancel()
        self.settings = replace(self.settings, seed=int(facts.get("seed", self.settings.seed)))
        with self.hold_trait_notifications():
            self.measurements = {n: found for n, found in measurements.items() if n < len(history.nodes)}
            self.table = None
            self.history = history

    # How it is done

    def _context(self, progress: Progress | None = None) -> Context:
        return Context(self.subject, self.settings.seed, progress or Progress())

    def _folder(self, name: str) -> Path | None:
        return self._autosave.folder / name if self._autosave else None

    def _evaluator(self, split: Split) -> Evaluator:
        """Return what runs models on a split; test is scored once, so nothing of it is kept."""
        with self._evaluators_lock:
            if split not in self._evaluators:
                memory = 0 if split == "test" else self.settings.memory
                self._evaluators[split] = Evaluator(self.subject.task.split(split), memory)
            return self._evaluators[split]

    def _ground(self, progress: Progress) -> Ground:
        """Return what trials of the current state stand on."""
        reference = self.reference(progress=progress.part(0.0, 0.05))
        return Ground(self.state, self._context(progress.part(0.05, 1.0)), reference, self._evaluator("validation"))

    def _measure(self, recipe: Recipe, progress: Progress) -> Measurement:
        reference = self.reference(progress=progress.part(0.0, 0.1, "baseline"))
        progress.update(0.1, "preparing runtimes")
        baselines = self.baselines()
        found = measure(
            self._states.of(recipe, progress),
            self._context(progress.part(0.2, 1.0)),
            self._evaluator("validation"),
            reference,
            baselines,
            tolerance=self.settings.tolerance,
            seconds=self.settings.seconds,
            batch=self.settings.batch,
        )
        return replace(found, unavailable={**self._refused, **found.unavailable})

    def _record(self, measurement: Measurement, test: Score | None) -> dict[str, Any]:
        """Return everything a card or report says, as plain JSON."""
        from dataclasses import asdict

        return {
            "subject": {
                "name": self.subject.name,
                "source": self.subject.source,
                "fingerprint": self.subject.fingerprint,
            },
            "task": self.subject.task.facts(),
            "recipe": self.recipe.facts(),
            "baseline": self.baseline.facts(),
            "current": measurement.facts(),
            "test": asdict(test) if test else None,
            "test_baseline": asdict(self.reference("test").score) if test else None,
        }

    def _move(self, history: History) -> None:
        self._live.cancel()
        self.error = ""
        self.history = history
        self._save()

    def _save(self) -> None:
        if self._autosave is not None:
            try:
                self._autosave.write(
                    {
                        "seed": self.settings.seed,
                        "history": self.history.facts(),
                        "measurements": {n: found.facts() for n, found in self.measurements.items()},
                    }
                )
            except OSError as error:
                self.error = f"the session could not be saved: {error}"

    def _show_jobs(self, jobs: tuple[Job, ...]) -> None:
        self.jobs = jobs
        running = next((job for job in jobs if job.state == "running"), None)
        if running is not None and running.tick.values:
            values = dict(running.tick.values)
            at = values.pop(TRAINING, running.tick.done)
            news = tuple((at, name, value) for name, value in values.items())
            # The figures stay until others come: of another job, or of the next training of the same one.
            began = running.number != self._trained or bool(self.curve and at < self.curve[-1][0])
            self._trained = running.number
            if began or news != self.curve[-len(news) :]:
                self.curve = (*(() if began else self.curve), *news)

    def _show_failure(self, error: BaseException) -> None:
        if isinstance(error, WorkbenchError):
            self.error = str(error)
        else:
            self.error = "".join(traceback.format_exception(error))

    def _show_preview(self, preview: Preview | None) -> None:
        self.staged = preview
