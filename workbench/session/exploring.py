"""What a session finds out by trying many things: scans, budgets, contests, and who pays."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import replace
from typing import Any, NamedTuple, cast

from workbench.errors import WorkbenchError
from workbench.jobs.progress import Progress
from workbench.measure import Score, measure_size
from workbench.measure.batch_sizes import BATCHES, time_batches
from workbench.measure.impact import Impact, Predictions, compare, predictions
from workbench.measure.latency import Latency
from workbench.search.allocate import allocate, bit_operations_of, file_bytes
from workbench.search.budget import budget_steps
from workbench.search.contest import Contest, hold_contest
from workbench.search.joint import Proposal, measured, propose, score_of
from workbench.search.latency_budget import Clock, by_parts, by_strength, check_part, graded, mildest
from workbench.search.sensitivity import Table, scan, worse
from workbench.search.trials import Outcome, Tolerance, TrialContext, run_trials
from workbench.session.editing import SessionEditing
from workbench.steps import State, Step, candidate
from workbench.steps.recipe import Recipe, run


class Pace(NamedTuple):
    """A step that is fast enough.

    Attributes:
        step: Its mildest form.
        latency: Against the untouched subject.
        score: On validation, measured after the step was found.
    """

    step: Step
    latency: Latency
    score: Score


ROUNDS = 5  # in which a choice for a budget of bytes is corrected


class SessionExploring(SessionEditing):
    """Scans, contests, budgets and impacts. None of them changes the current state."""

    _surveyed: Predictions | None = None

    def sensitivity(
        self,
        step: Step,
        amounts: Sequence[float] = (),
        *,
        tolerance: float = Tolerance.half_width,
        relative: float = Tolerance.relative,
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
            executor: Who does the work, such as `wb.processes(4)` or `dask.distributed.Client().get_executor()`; the
                session's own by default.
            progress: Who is told, and may stop it.
        """
        progress = progress or Progress()
        number, trial_context = self.history.at, self._trial_context(progress)
        lost = worse(self.measure(number, progress.part(0.0, 0.05)).score) if number else 0.0

        def grow(table: Table) -> None:
            self.table = replace(table, state=number, lost=lost)

        self.table = None
        table = scan(
            trial_context,
            step,
            amounts,
            tolerance=Tolerance(tolerance, relative),
            seconds=seconds,
            executor=self.executor if executor is None else executor,
            folder=self._folder("scans"),
            report=grow,
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
    ) -> Proposal:
        """Return steps that give each part a strength of its own, within a budget and with the least drop in sum.

        Parts are scanned first, and the result is scored: it says the drop that the sum lets expect and the one that
        was measured together. Nothing is applied: `extend` takes what is returned.

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
        table = self.sensitivity(step, amounts, tolerance=tolerance, progress=progress.part(0.0, 0.8))
        if bytes is None:
            cost = bit_operations_of(step, self._context().layers(self.state.model))
            strengths = allocate(table, cost, cast(float, bit_operations))
        else:
            strengths = self._within_bytes(step, table, bytes, progress.part(0.8, 0.9))
        context = self._trial_context(progress.part(0.9, 1.0))
        return measured(context, table, strengths, self._clear, self._folder("scans"))

    def _within_bytes(self, step: Step, table: Table, most: int, progress: Progress) -> dict[str, float]:
        whole = measure_size(self.state.model, self.state.codings, self.subject).total
        limit, cost = float(most), file_bytes(table, whole)
        for _ in range(ROUNDS):
            strengths = allocate(table, cost, limit)
            recipe = Recipe(budget_steps(step, strengths), self.settings.seed)
            built = run(self.subject, recipe, progress, (0, self.state))
            over = measure_size(built.model, built.codings, self.subject).total - most
            if over <= 0:
                return strengths
            limit -= over  # a file's header is shared, so bytes of single parts do not quite add up
        raise WorkbenchError(f"no choice was found that keeps within {most:,} bytes")

    def suggest(self, scanned: Step | Table, tolerance: float, progress: Progress | None = None) -> Proposal:
        """Return the strongest steps whose drop of the score, measured together, is within what is tolerated.

        The sum of what parts cost alone is where it begins; strengths are then taken back until the whole interval of
        the measured drop is within the tolerance. Nothing is applied: `extend` takes what is returned.

        Args:
            scanned: A scan, such as `table`; or a step, which is scanned first.
            tolerance: Largest drop from the scanned state, in the metric's unit: 0.005 is half a point of accuracy.
            progress: Who is told, and may stop it.

        Raises:
            WorkbenchError: The tolerance is negative, the step cannot be scanned, or the scanned state is gone.
            Cancelled: It was told to stop.
        """
        progress = progress or Progress()
        if isinstance(scanned, Step):
            scanned = self.sensitivity(scanned, progress=progress.part(0.0, 0.7))
            progress = progress.part(0.7, 1.0)
        context = self._trial_context(progress, scanned.state)
        return propose(context, scanned, tolerance, self._folder("scans"))

    def foresee(self, steps: Sequence[Step], progress: Progress | None = None) -> Outcome:
        """Return score and size of the current state after several steps together, which are not applied.

        Raises:
            WorkbenchError: There are no steps, or the current state is gone.
            Cancelled: It was told to stop.
        """
        if not steps:
            raise WorkbenchError("there are no steps to look at")
        context, folder = self._trial_context(progress or Progress()), self._folder("scans")
        return [outcome for _, outcome in run_trials(context, [tuple(steps)], self._clear, folder=folder)][-1]

    def pace(self, step: Step, part: float, runtime: str = "onnxruntime", progress: Progress | None = None) -> Pace:
        """Return the mildest form of `step` that takes `part` of the baseline's latency away, its latency and score.

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
            why = self._baseline.refused.get(runtime, f"the session measures on {', '.join(self.settings.runtimes)}")
            raise WorkbenchError(f"latency on {runtime} cannot be measured: {why}")
        progress, scanned = progress or Progress(), 0.0
        if graded(step):
            steps = by_strength(step)
        else:
            scanned = 0.6
            strength = getattr(step, step.strength)
            steps = by_parts(step, self.sensitivity(step, (strength,), progress=progress.part(0.0, scanned)))
        clock = Clock(baseline, self.subject.task.example(self.settings.batch), runtime, self.settings.seconds)
        milder, latency = mildest(steps, self.state, self._context(progress.part(scanned, 0.95)), part, clock)
        context = self._trial_context(progress.part(0.95, 1.0))
        return Pace(milder, latency, cast(Score, score_of(context, (milder,), self._clear, self._folder("scans"))))

    def batches(
        self,
        sizes: Sequence[int] = BATCHES,
        runtime: str = "onnxruntime",
        progress: Progress | None = None,
        number: int | None = None,
    ) -> tuple[Latency, ...]:
        """Return a state's latency at each batch size, in turns with the uncompressed model at the same size.

        What is faster for one sample need not be so for many, and the other way round. `workbench.charts.batch_curve`
        draws it.

        Args:
            sizes: Samples in a batch.
            runtime: Where it is timed.
            progress: Who is told, and may stop it.
            number: The state, None for the current one.

        Raises:
            WorkbenchError: The runtime does not take the model, or not so many samples.
            Cancelled: It was told to stop.
        """
        state = self.state if number is None else self.state_of(number, progress)
        whole = State.of(self.subject)
        return time_batches(
            runtime, whole, state, self.subject.task, sizes, seconds=self.settings.seconds, progress=progress
        )

    def contest(self, progress: Progress | None = None, **options: Any) -> Contest:
        """Return how every importance criterion ranks the same units, and what follows; options as `hold_contest`.

        The contest grows in `standings` meanwhile.
        """
        progress = progress or Progress()
        tell = options.pop("report", lambda _: None)
        options.setdefault("executor", self.executor)

        def grow(contest: Contest) -> None:
            self.standings = contest
            tell(contest)

        return hold_contest(self._trial_context(progress), report=grow, folder=self._folder("scans"), **options)

    def impact(self, step: Step | None = None, progress: Progress | None = None, number: int | None = None) -> Impact:
        """Return which classes and samples of validation pay for a state, or for it after one more step.

        Args:
            step: Done on the state, None for the state as it is.
            progress: Who is told, and may stop it.
            number: Of the state, by default the current one.

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
        state = self.state if number is None else self.state_of(number, context.progress)
        built, overlay = candidate(state, step, context) if step is not None else (state, {})
        after = predictions(evaluator.prepare(built, overlay), reference, progress.part(0.6, 1.0))
        return compare(self._surveyed, after, reference, self.subject.task.classes)

    @property
    def _clear(self) -> Tolerance:
        """How clear the score of a result has to be, as that of an applied step."""
        return Tolerance(self.settings.tolerance, 0.0)

    def _trial_context(self, progress: Progress, number: int | None = None) -> TrialContext:
        """Return what trials of a state stand on, by default the current one."""
        reference = self.reference(progress=progress.part(0.0, 0.05))
        state = self.state_of(self.history.at if number is None else number)
        return TrialContext(state, self._context(progress.part(0.05, 1.0)), reference, self._evaluator("validation"))
