"""What a session does with a goal: it searches for recipes that meet it, from the current state on."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor

from workbench.errors import WorkbenchError
from workbench.jobs.progress import Progress
from workbench.measure import Score
from workbench.measure.impact import compare, predictions
from workbench.measure.runtimes import Forward
from workbench.measure.sequential import score
from workbench.model.layers import choose
from workbench.search.goal import WORST_CLASS, Goal
from workbench.search.planner import Candidate, Findings, Space
from workbench.search.planner.held_out import Scored, split_validation
from workbench.search.planner.judge import costs_of
from workbench.search.planner.last import Judges, compare_last
from workbench.search.planner.run import Search
from workbench.search.planner.study import SAMPLERS, check_sampler
from workbench.search.planner.timing import Timing
from workbench.search.presets import PRESETS
from workbench.search.trials import TrialContext
from workbench.session.exploring import SessionExploring
from workbench.steps import State, Step
from workbench.steps.recipe import Recipe, check_possible


class SessionSearching(SessionExploring):
    """Searches. None of them changes the current state."""

    def search(
        self,
        goal: Goal,
        *,
        methods: Sequence[str] = (),
        forbid: Sequence[str] = (),
        layers: str = "*",
        exclude: str = "",
        improve: Recipe | Sequence[Step] = (),
        sampler: str = SAMPLERS[0],
        executor: Executor | None = None,
        progress: Progress | None = None,
    ) -> Findings:
        """Return recipes that meet a goal, each one measured, from the current state on.

        The findings grow in `findings` meanwhile; a search that was stopped or killed goes on from what is known.
        Nothing is applied: `session.apply(findings.recipe(findings.winner))` takes one over.

        Args:
            goal: What is wanted. The score counts from the untouched model's.
            methods: Kinds of steps that are tried besides the usual ones, such as "factorize".
            forbid: Kinds that are not, as globs: "prune_*", "distill".
            layers: Layers that may be changed: names or globs, with commas between them.
            exclude: Which not.
            improve: Steps on the current state that are known to be good, and looked at first.
            sampler: What thinks of candidates once the proposals are judged: "tpe" or "evolutionary".
            executor: Who does the work, such as `wb.processes(4)` or `dask.distributed.Client().get_executor()`; the
                session's own by default.
            progress: Who is told, and may stop it.

        Raises:
            WorkbenchError: A method cannot be searched, or what the goal speaks of cannot be measured here.
            Cancelled: It was told to stop; what was found stays in `findings`.
        """
        progress = progress or Progress()
        check_sampler(sampler)
        space = Space.of(self.subject.task, goal, methods, forbid, layers, exclude)
        choose(self.layers, layers, exclude)  # a name that matches nothing is an error before any work
        begun, base = self.recipe, State.of(self.subject)
        check_possible(self.subject, Recipe((*begun.steps, *improve), begun.seed), len(begun))
        self.findings = None
        whole = self.reference(progress=progress.part(0.0, 0.03, "baseline")), self._evaluator("validation")
        timed = self._timed(goal)
        if WORST_CLASS in goal.limits:
            self._check_classes(whole, base, progress)
        split = split_validation(
            whole, base, self.settings.seed, self.settings.memory, progress.part(0.03, 0.08, "baseline")
        )
        reference, evaluator = split.searched
        state = self.state
        context = self._context(progress.part(0.08, 0.85))
        trials = TrialContext(state, context, reference, evaluator)
        findings = Findings(
            goal,
            whole[0].score,
            seen=reference.total,
            held=split.held[0].total if split.held else 0,
            before=costs_of(state, {}, context, goal.counted),
            begun=begun,
        )
        # Presets are for all layers, and go by what the untouched subject needs.
        presets = PRESETS.values() if (layers, exclude) == ("*", "") and not begun.steps else ()
        # What was asked for by name is looked at, whatever it is made of.
        known = [preset.recipe(self.subject).steps for preset in presets]
        known = [tuple(improve), *(steps for steps in known if _allowed(steps, space))]
        timing = Timing(timed, self.settings.seconds, self.settings.batch)
        search = Search(
            trials,
            goal,
            space,
            findings,
            [steps for steps in dict.fromkeys(known) if steps],
            timing=timing,
            executor=self.executor if executor is None else executor,
            folder=self._folder("search"),
            sampler=sampler,
            report=self._show_findings,
        )
        self._show_findings(findings)

        def build(candidate: Candidate, progress: Progress) -> State:
            recipe = Recipe((*begun.steps, *candidate.steps), begun.seed)
            done, built = search.base_of(candidate)
            if built is not None and done:
                self._states.put(Recipe((*begun.steps, *done), begun.seed), built)
            return self._states.of(recipe, progress)

        def test(state: State, progress: Progress) -> Score | None:
            if not self.subject.task.has("test"):
                return None
            return score(self._evaluator("test").prepare(state), self.reference("test", progress), 0.0, progress)

        judges = Judges(
            whole,
            split.held,
            build,
            costs=lambda state: costs_of(state, {}, context, goal.counted),
            timed=lambda state: timing.latency(state, context),
            test=test,
        )
        try:
            return compare_last(search.run(), judges, progress.part(0.85, 1.0), self._show_findings)
        finally:
            split.close()

    def plan_candidate(self, number: int) -> None:
        """Put the steps of what a search found into the plan.

        Raises:
            WorkbenchError: There is no such candidate, or the current state is not the one that the search began at.
        """
        findings = self.findings
        if findings is None:
            raise WorkbenchError("nothing was searched yet")
        if findings.begun.steps != self.recipe.steps:
            raise WorkbenchError(
                "these steps are for the state that the search began at: go back to it first, or take the recipe over"
            )
        self.plan = findings.at(number).steps

    def _show_findings(self, findings: Findings) -> None:
        self.findings = findings

    @staticmethod
    def _check_classes(whole: Scored, base: State, progress: Progress) -> None:
        """Raise an error where samples have no classes, before anything is searched."""
        reference, evaluator = whole
        before = predictions(evaluator.prepare(base), reference, progress.silent())
        if not compare(before, before, reference).classes:
            raise WorkbenchError("the goal limits what a class may lose, and samples have no classes here")

    def _timed(self, goal: Goal) -> dict[str, Forward]:
        """Return the baseline on the runtimes that a goal speaks of.

        Raises:
            WorkbenchError: It is not measured there.
        """
        if not goal.runtimes:
            return {}
        baselines = self.baselines()
        for name in goal.runtimes:
            if name not in baselines:
                why = self._baseline.refused.get(name, f"the session measures on {', '.join(self.settings.runtimes)}")
                raise WorkbenchError(f"latency on {name} cannot be measured: {why}")
        return {name: baselines[name] for name in goal.runtimes}


def _allowed(steps: Sequence[Step], space: Space) -> bool:
    """Return whether a recipe that is known to be good keeps to what may be done."""
    return all(step.kind in space.kinds for step in steps)
