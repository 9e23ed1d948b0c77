"""The search: which candidate is next, for how long, and what is shown at the end.

Recipes that are known to be good and proposals from a scan come first, on the state as it is. Where there is train data
and a loss, bases are cut and trained for a few epochs, and searched likewise. A candidate is scored for as long as it
may win. Time goes to branches in slices; when nothing new is worth beginning, the best branch goes on.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from workbench.measure import Latency
from workbench.search.goal import LATENCY, Goal
from workbench.search.planner.branch import Branch, Idea
from workbench.search.planner.candidate import Candidate, Origin, Verdict
from workbench.search.planner.findings import Findings, cheapest, key_of
from workbench.search.planner.judge import Judged, Rule, judge, verdict_of
from workbench.search.planner.known import goal_key, identity, known_candidates
from workbench.search.planner.parts import cost_before, damages
from workbench.search.planner.space import EPOCHS, MOST_EPOCHS, Space, epochs_of
from workbench.search.planner.study import SAMPLERS, Journal, Sampler
from workbench.search.planner.timing import Timing, costs_of_time, within_time
from workbench.search.trials.trial import Outcome, TrialContext
from workbench.search.trials.workers import Lost, Work, Workers
from workbench.steps import State, Step

FIRST_SLICE = 0.3  # of the time, for what needs no training, where there is training
SCAN_SHARE = 0.4  # of a slice
SLICE = 0.08
EPOCH_PASSES = 5  # of all train samples forward, that an epoch takes as long as
WORST = 1e6  # more than allowed, of a loss that is no number
GIVE_UP = 3  # bases in a row that could not be built
KEPT_STATES = 4  # of what took long to build, for the last comparison
PHASES: dict[Origin, str] = {
    "known": "looking at recipes that are known to be good",
    "knapsack": "trying proposals of the scan",
    "sampler": "trying what the sampler proposes",
    "trained": "training what loses a little too much",
    "polished": "trying dearer settings of what loses a little too much",
}
Report = Callable[[Findings], None]


class Search:
    """One search.

    Args:
        trials: The state that the search begins at, and the part of validation that it looks at.
        goal: What is wanted.
        space: What may be done.
        findings: What is known before: the baseline's score, and how validation is split.
        known: Recipes that are known to be good, as steps on the state that the search begins at.
        timing: What candidates are timed with, where the goal speaks of time.
        executor: Who does the work, None for the calling thread.
        folder: Where the journal is, None to keep nothing.
        sampler: What thinks of candidates, one of `SAMPLERS`.
        report: Called with the growing findings.
    """

    def __init__(
        self,
        trials: TrialContext,
        goal: Goal,
        space: Space,
        findings: Findings,
        known: Sequence[tuple[Step, ...]] = (),
        *,
        timing: Timing | None = None,
        executor: Executor | None = None,
        folder: Path | None = None,
        sampler: str = SAMPLERS[0],
        report: Report = lambda _: None,
    ) -> None:
        self._trials, self._goal, self._space, self._report = trials, goal, space, report
        self._timing = timing or Timing()
        self._known, self.findings = list(known), findings
        self._context = trials.context
        self._progress = self._context.progress
        self._metric = trials.reference.metric
        self._lose = goal.tolerance(self._metric.unit)
        # What is timed while others compute here is not known.
        self._workers = Workers(trials, executor, most=1 if goal.runtimes else None)
        self._journal = Journal(folder and folder / identity(trials, space), sampler)
        self._branches: list[Branch] = []
        self._bases: Sampler | None = None
        trains = space.recovery is not None or not space.by_layer
        self._seeds = space.base_seeds() if trains and (space.structural or space.switched) else []
        self._earlier: dict[str, Candidate] = {}
        self._epoch_seconds = 0.0
        self._start = time.monotonic()
        self._whole = cost_before(trials, space.quantity)
        self._states: dict[int, State] = {}
        self._failed = 0
        if self._journal.note:
            self._tell(notes=(*findings.notes, self._journal.note))

    def run(self) -> Findings:
        """Search until the time is over or nothing is left to try, and return what was found.

        Nothing is compared on all of validation yet: that is `last.compare_last`.

        Raises:
            Cancelled: It was told to stop; what was found stays in `findings` and in the journal.
        """
        if found := known_candidates(self._journal, self._goal, self._lose):
            self._earlier = {key_of(one.steps): one for one in found}
            self._tell(candidates=found, known=len(found), phase="taking over what is known")
        self._epoch_seconds = self._estimated_epoch()
        root = self._branch("root", ())
        share = FIRST_SLICE if self._seeds else 1.0
        root.slice = share * self._goal.seconds
        self._begin(root, self._trials.state)
        with closing(self._workers.results(self._ask, self._progress)) as results:
            for work, result in results:
                self._take(work, result)
        notes = (*self.findings.notes, self._workers.broken) if self._workers.broken else self.findings.notes
        self._tell(phase="searched", notes=notes)
        return self.findings

    def base_of(self, candidate: Candidate) -> tuple[tuple[Step, ...], State | None]:
        """Return the longest beginning of a candidate's steps of which the state is at hand, and that state."""
        if candidate.number in self._states:
            return candidate.steps, self._states[candidate.number]
        found: tuple[tuple[Step, ...], State | None] = ((), self._trials.state)
        for branch in self._branches:
            size = len(branch.base)
            if branch.state is not None and size > len(found[0]) and candidate.steps[:size] == branch.base:
                found = branch.base, branch.state
        return found

    # What is next.

    @property
    def _spent(self) -> float:
        return time.monotonic() - self._start

    @property
    def _left(self) -> float:
        return self._goal.seconds - self._spent

    def _ask(self) -> Work | None:
        if self._left <= 0:
            return None
        for branch in reversed(self._branches):
            if branch.spent < branch.slice and (work := self._of_branch(branch)):
                return work
        if work := self._new_base():
            return work
        # Nothing new is worth beginning: the branches go on, the best one first.
        for branch in sorted(self._branches, key=self._best_of):
            if branch.state is not None and (work := self._of_branch(branch, on=True)):
                branch.slice = branch.spent + SLICE * self._goal.seconds
                return work
        return None

    def _best_of(self, branch: Branch) -> float:
        first = self._goal.objectives[0]
        met = [one.costs[first] for _, one in branch.candidates if one.verdict == "meets" and first in one.costs]
        return min(met, default=math.inf)

    def _of_branch(self, branch: Branch, on: bool = False) -> Work | None:
        if branch.state is None:
            return None
        if work := self._first_new(branch, branch.ready):
            return work
        if branch.parts is None:
            if (on or branch.spent < SCAN_SHARE * branch.slice) and (places := branch.scan()):
                args = (branch.trials(places), self._space.quantity)
                return Work(damages, args, self._base_name(branch), ("scan", branch, places))
            if branch.scanning:
                return None
            study = f"{goal_key(self._goal)} {branch.name}"
            branch.finish_scan(self._journal, study, len(self._goal.objectives), self._context.seed)
        if branch.sampled and self._fits(1):
            best = self._best_cost(self._space.quantity)
            epochs = min(max(int(0.2 * self._left / max(self._epoch_seconds, 1e-9)), 1), MOST_EPOCHS)
            idea = branch.refinement(self._space, best, self._left, epochs)
            if idea is not None:
                return self._judging(branch, idea)
        return self._first_new(branch, lambda: branch.idea(self._space, self._best_cost(self._space.quantity)))

    def _first_new(self, branch: Branch, propose: Callable[[], Idea | None]) -> Work | None:
        """Return the judging of the first idea that no earlier search looked at; what those did is taken over."""
        while idea := propose():
            known = self._earlier.get(key_of(branch.base + idea.steps))
            if known is None:
                return self._judging(branch, idea)
            self._give(branch, idea, known)
        return None

    def _judging(self, branch: Branch, idea: Idea) -> Work:
        keep = bool(self._goal.runtimes) or idea.origin in ("trained", "polished")  # what took long is not built twice
        return Work(judge, (idea.steps, self._rule(), None, keep), self._base_name(branch), ("judge", branch, idea))

    def _base_name(self, branch: Branch) -> str:
        return branch.name if branch.base else ""

    def _new_base(self) -> Work | None:
        """Return the training of another base, None if there is none or no time for it."""
        if (not self._seeds and self._bases is None) or self._failed >= GIVE_UP or not self._fits(1):
            return None
        if self._bases is None:
            knobs = self._space.base_knobs()
            self._bases = self._journal.sampler(f"{goal_key(self._goal)} bases", knobs, 1, self._context.seed)
        for _ in range(5):
            asked = self._bases.ask(self._seeds.pop(0) if self._seeds else None)
            steps = self._space.base(asked.knobs)
            name = hashlib.sha256(repr(steps).encode()).hexdigest()[:12]
            if not steps or any(branch.name == name for branch in self._branches):
                self._bases.tell(asked, None, 0.0)
                continue
            if not self._fits(int(asked.knobs.get(EPOCHS, 1))):
                self._bases.tell(asked, None, 0.0)
                return None
            branch = self._branch(name, steps, asked.knobs)
            branch.asked = asked
            self._tell(phase=f"training base {len(self._branches) - 1}")
            rule = Rule(self._lose * 4, self._counted)
            return Work(judge, (steps, rule, None, True), "", ("base", branch, None))
        return None

    def _fits(self, epochs: int) -> bool:
        """Return whether there is time to train so long and to search what comes of it."""
        return epochs * self._epoch_seconds < 0.6 * self._left

    def _estimated_epoch(self) -> float:
        """Return about how many seconds an epoch takes, before one was trained: forward, backward, and a teacher."""
        task, evaluator = self._context.subject.task, self._trials.evaluator
        if not self._seeds or not task.has("train"):
            return 0.0
        numbers = torch.arange(min(64, self._trials.reference.total))
        predict = evaluator.plain(self._trials.state)
        predict(numbers)  # the first run of a kernel also builds it
        start = time.perf_counter()
        predict(numbers)
        return EPOCH_PASSES * (time.perf_counter() - start) / len(numbers) * len(task.split("train"))

    def _branch(self, name: str, steps: tuple[Step, ...], knobs: Mapping[str, float | str] | None = None) -> Branch:
        branch = Branch(name, steps, knobs)
        self._branches.append(branch)
        return branch

    def _begin(self, branch: Branch, state: State) -> None:
        whole = cost_before(replace(self._trials, state=state), self._space.quantity)
        extra = [Idea(steps, "known") for steps in (self._known if not branch.base else self._known_tails())]
        branch.begin(state, whole, self._space, self._context, extra)
        if branch.base:
            self._workers.share(branch.name, state)

    def _known_tails(self) -> list[tuple[Step, ...]]:
        """Return what recipes that are known to be good do to a model that was cut and trained already."""
        tails = [tuple(s for s in steps if s.stage is not None and s.stage > 2) for steps in self._known]
        found = [()] if self._space.quantity != "bytes" else []
        return list(dict.fromkeys([*found, *(tail for tail in tails if tail)]))

    @property
    def _counted(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self._goal.counted, self._space.quantity)))

    def _rule(self) -> Rule:
        counted = self._counted
        timed = any(name.startswith(LATENCY) for name in self._goal.objectives)
        limits = {name: value for name, value in self._goal.limits.items() if name in counted}
        beaten = tuple(one.costs for one in self.findings.candidates if one.verdict == "meets")
        return Rule(self._lose, counted, () if timed else self._goal.objectives, limits, beaten)

    # What came back.

    def _take(self, work: Work, result: Any) -> None:
        what, branch, of = work.tag
        if isinstance(result, Lost):
            nothing = Judged("lost", Outcome(None), {}, 0.0, reason=result.reason)
            result = ([], 0.0) if what == "scan" else nothing
        if what == "scan":
            found, seconds = result
            branch.scanned(of, found)
            branch.spent += seconds / self._workers.width
            self._tell(phase="scanning parts" if not branch.base else "scanning parts of a trained base")
        elif what == "base":
            self._take_base(branch, result)
        else:
            branch.spent += result.seconds / self._workers.width
            if of.origin == "trained" and result.outcome.score is not None:
                self._epoch_seconds = result.seconds / max(epochs_of(of.steps), 1)
            self._give(branch, of, self._add(branch.base + of.steps, of, result, branch))
        self._progress.update(min(self._spent / max(self._goal.seconds, 1e-9), 1.0), self._phase())

    def _give(self, branch: Branch, idea: Idea, candidate: Candidate) -> None:
        """Tell a branch what came of its idea."""
        excess = None if candidate.score is None else min(candidate.score.loss - self._lose, WORST)
        branch.judged(idea, candidate, excess, self._goal.objectives)
        # What reads files besides is not known again by its fields alone.
        if idea.asked is None and not any(step.outside() for step in candidate.steps):
            log = self._journal.sampler(f"{goal_key(self._goal)} others", {}, 1, self._context.seed)
            log.tell(log.ask(), None, 0.0, candidate.facts())

    def _take_base(self, branch: Branch, judged: Judged) -> None:
        score = judged.outcome.score
        # What was not built says nothing of how long training takes, and of several in a row that others fail too.
        self._failed = 0 if score is not None else self._failed + 1
        if score is not None and (epochs := epochs_of(branch.base)):
            self._epoch_seconds = judged.seconds / epochs
        excess = math.inf if score is None else score.loss - self._lose
        if judged.state is None or score is None or verdict_of(score, self._lose * 4) == "fails":
            verdict: Verdict = "fails" if judged.verdict == "meets" else judged.verdict
            self._add(branch.base, Idea(branch.base, "trained"), replace(judged, verdict=verdict), branch)
            if self._bases is not None and branch.asked is not None:
                value = judged.costs.get(self._space.quantity, self._whole)
                self._bases.tell(branch.asked, [value], min(excess, WORST))
            return
        branch.state = judged.state
        branch.slice = max(SLICE * self._goal.seconds, judged.seconds / 2)
        self._begin(branch, judged.state)
        if self._bases is not None and branch.asked is not None:
            # Told now, so that others may be proposed meanwhile; what the base is good for follows from its own score.
            value = judged.costs.get(self._space.quantity, self._whole)
            self._bases.tell(branch.asked, [value], excess)

    def _add(self, steps: tuple[Step, ...], idea: Idea, judged: Judged, branch: Branch) -> Candidate:
        verdict, reason, costs = judged.verdict, judged.reason, dict(judged.costs)
        latency: dict[str, Latency] = {}
        if verdict == "meets" and self._goal.runtimes and judged.state is not None:
            latency, refused = self._timing.latency(judged.state, self._context)
            costs |= costs_of_time(latency)
            verdict, reason = within_time(latency, refused, self._goal)
        candidate = Candidate(
            len(self.findings.candidates) + 1, steps, idea.origin, verdict, judged.outcome.score, costs, latency,
            idea.expected, idea.knobs or branch.knobs, branch.name, judged.seconds, reason,
        )  # fmt: skip
        self._tell(candidates=(*self.findings.candidates, candidate), phase=PHASES[idea.origin])
        if verdict == "meets" and judged.state is not None:
            self._states[candidate.number] = judged.state
            order = sorted(self._states, key=lambda number: self.findings.at(number).costs.get("bytes", math.inf))
            for number in order[KEPT_STATES:]:
                del self._states[number]
        return candidate

    def _best_cost(self, quantity: str) -> float:
        best = cheapest(self.findings.candidates, self._goal)
        return math.inf if best is None else best.costs.get(quantity, math.inf)

    def _phase(self) -> str:
        best = cheapest(self.findings.candidates, self._goal)
        first = self._goal.objectives[0]
        words = f"{len(self.findings.candidates)} looked at"
        if best is not None:
            before = self.findings.before.get(first)
            ratio = f", best {before / best.costs[first]:.2f} × less" if before and best.costs[first] else ""
            words += ratio
        return words

    def _tell(self, **changes: Any) -> None:
        self.findings = replace(self.findings, seconds=self._spent, **changes)
        self._report(self.findings)
