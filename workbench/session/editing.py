"""What is done to a session by hand: previews, steps, and going through what was tried."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from workbench.errors import WorkbenchError
from workbench.jobs.progress import Progress
from workbench.measure import Measurement, Score
from workbench.session.core import SessionCore
from workbench.session.labels import StateLabel
from workbench.session.live import Live
from workbench.session.preview import EvaluationContext
from workbench.steps import Step
from workbench.steps.history import History
from workbench.steps.recipe import Recipe


class SessionEditing(SessionCore):
    """Previews, applies and takes back steps. Whatever fails or is cancelled leaves the session as it was."""

    _live: Live

    def preview(self, step: Step) -> None:
        """Show what a step would do, in `staged`, without doing it. A newer preview replaces an older one."""
        self.draft = step
        # The state is fetched by the worker: it may have to be built first, and a slider must not wait for that.
        context = EvaluationContext(
            self._context(), lambda: self.state, self.reference, self._evaluator("validation"), self.baselines,
            self.recipe.key,
        )  # fmt: skip
        self._live.request(step, context)

    def take_back(self) -> None:
        """Drop the preview."""
        self._live.cancel()

    def apply(self, step: Step | Recipe, progress: Progress | None = None) -> Measurement:
        """Do a step, measure the result, and return the measurement; a recipe is replayed from the untouched subject.

        Raises:
            WorkbenchError: The step cannot be done; the session is as it was.
            Cancelled: It was told to stop; the session is as it was.
        """
        return self.replay(step, progress) if isinstance(step, Recipe) else self.extend((step,), progress)

    def extend(self, steps: Iterable[Step], progress: Progress | None = None) -> Measurement:
        """Do several steps one after the other, measure the last result, and return the measurement.

        Raises:
            WorkbenchError: A step cannot be done; the session is as it was.
            Cancelled: It was told to stop; the session is as it was.
        """
        progress, planned = progress or Progress(), tuple(steps)
        start, before = self.history.at, self.recipe
        recipe = Recipe((*before.steps, *planned), before.seed)
        known = self._previewed(planned, before)
        # What the preview shows stays in sight until there is more to show.
        self._live.hold()
        self._states.of(recipe, progress.part(0.0, 0.5))
        measured = self._measure(recipe, progress.part(0.5, 1.0), known)

        def add(history: History) -> History:
            # Someone may have gone elsewhere or begun a branch meanwhile; that stays, and the steps go where they
            # began. If another session was taken over there is no such place any more.
            if start >= len(history.nodes) or history.recipe(before.seed, start) != before:
                raise WorkbenchError("another session was taken over meanwhile, so the step was not done; do it again")
            history = history if history.at == start else history.go(start)
            for step in planned:
                history = history.apply(step)
            return history

        self._go(add, measured=measured)
        return measured

    def _previewed(self, steps: tuple[Step, ...], before: Recipe) -> Score | None:
        """Return the score of these steps if the preview that is shown is of them and exact."""
        staged = self.staged
        if staged is None or (staged.step,) != steps or staged.base != before.key or staged.score is None:
            return None
        return staged.score if staged.score.exact else None

    def replay(self, recipe: Recipe, progress: Progress | None = None) -> Measurement:
        """Do all steps of a recipe from the untouched subject on, and return the measurement of the last.

        Raises:
            WorkbenchError: A step cannot be done; the session is as it was.
            Cancelled: It was told to stop; the session is as it was.
        """
        progress = progress or Progress()
        self._live.cancel()
        self._states.of(recipe, progress.part(0.0, 0.7))
        measured = self._measure(recipe, progress.part(0.7, 1.0))

        def add(history: History) -> History:
            history = history.go(0)
            for step in recipe:
                history = history.apply(step)
            return history

        if recipe.seed != self.settings.seed:
            self.settings = replace(self.settings, seed=recipe.seed)
        self._go(add, measured=measured)
        return measured

    def undo(self, progress: Progress | None = None) -> None:
        """Go one step back."""
        self._visit(self.history.undo(), progress)

    def redo(self, progress: Progress | None = None) -> None:
        """Go one step forward again."""
        self._visit(self.history.redo(), progress)

    def fork(self, name: str) -> None:
        """Begin a branch here; the one before keeps what it has."""
        self._go(lambda history: history.fork(name))

    def switch(self, branch: str, progress: Progress | None = None) -> None:
        """Go to the end of a branch."""
        self._visit(self.history.switch(branch), progress)

    def go(self, number: int, progress: Progress | None = None) -> None:
        """Go to any state that was tried; it is built first if it is no longer at hand."""
        self._visit(self.history.go(number), progress)

    def reset(self) -> None:
        """Go back to the untouched subject; what was tried stays in the history."""
        self._visit(self.history.go(0), None)

    def label(self, number: int, **changes: Any) -> None:
        """Give a state a name, a note or a star, or hide it: `label(3, name="small", star=True)`.

        Raises:
            WorkbenchError: There is no such state; or it is to be hidden, and is the current one or the subject.
        """
        if not 0 <= number < len(self.history.nodes):
            raise WorkbenchError(f"there is no state {number}; there are 0 to {len(self.history.nodes) - 1}")
        if changes.get("deleted") and number in (0, self.history.at):
            raise WorkbenchError("the current state and the untouched subject stay; go to another state first")
        self.labels = {**self.labels, number: replace(self.labels.get(number, StateLabel()), **changes)}
        if changes.get("deleted"):
            self.compared = tuple(one for one in self.compared if one != number)
        self._save()

    def _visit(self, target: History, progress: Progress | None) -> None:
        """Go where `target` stands, with its model at hand before anybody looks at it."""
        self._states.of(target.recipe(self.settings.seed), progress or Progress())
        self._go(lambda history: replace(history, at=target.at, branch=target.branch))

    def _go(self, change: Callable[[History], History], **values: Any) -> None:
        self._live.cancel()
        self.error = ""
        self._change(change, **values)
