"""Built states that are kept, so that undo is at once and a longer recipe begins where a shorter one ended."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from threading import RLock

from torch import Tensor

from workbench.jobs.progress import Progress
from workbench.model.subject import Subject
from workbench.steps import State
from workbench.steps.recipe import Recipe, check_possible, run

KEPT_BYTES = 2**30  # that all kept states may take; older ones are built again from their recipe


class States:
    """The states of recipes on one subject.

    Args:
        subject: What recipes begin with.
        folder: Where training keeps checkpoints, None for nowhere.
    """

    def __init__(self, subject: Subject, folder: Path | None) -> None:
        self._subject, self._folder = subject, folder
        self._kept: OrderedDict[str, State] = OrderedDict()
        self._pinned = ""
        # Held for a look only: a step may train for minutes, and a preview must not wait for it.
        self._lock = RLock()

    def __len__(self) -> int:
        return len(self._kept)

    def has(self, recipe: Recipe) -> bool:
        """Return whether the state of a recipe is at hand, so that nothing has to be built for it."""
        with self._lock:
            return not recipe.steps or recipe.key in self._kept

    def put(self, recipe: Recipe, state: State) -> None:
        """Keep a state that somebody else built by this recipe."""
        with self._lock:
            if recipe.steps:
                self._kept[recipe.key] = state
            self._evict()

    def pin(self, recipe: Recipe) -> None:
        """Keep the state of this recipe, whatever else is built: a view may ask for it while it is drawn."""
        with self._lock:
            self._pinned = recipe.key
            self._evict()

    def of(self, recipe: Recipe, progress: Progress) -> State:
        """Return the state of a recipe, built from the longest part of it that is kept."""
        done, state = self._longest(recipe)
        check_possible(self._subject, recipe, done)
        for number in range(done, len(recipe)):
            part = Recipe(recipe.steps[: number + 1], recipe.seed)
            share = progress.part((number - done) / (len(recipe) - done), (number + 1 - done) / (len(recipe) - done))
            state = run(self._subject, part, share, (number, state), self._folder)
            with self._lock:
                self._kept[part.key] = state
        with self._lock:
            if recipe.steps and recipe.key in self._kept:
                self._kept.move_to_end(recipe.key)
            self._evict()
        return state

    def _longest(self, recipe: Recipe) -> tuple[int, State]:
        with self._lock:
            for done in range(len(recipe), 0, -1):
                state = self._kept.get(Recipe(recipe.steps[:done], recipe.seed).key)
                if state is not None:
                    return done, state
        return 0, State.of(self._subject)

    def _evict(self) -> None:
        """Let go of the oldest states until the rest fits, but never of the pinned and the newest one."""
        for key in list(self._kept)[:-1]:
            if _bytes(self._kept.values(), self._subject) <= KEPT_BYTES:
                return
            if key != self._pinned:
                del self._kept[key]


def _bytes(states: Iterable[State], subject: Subject) -> int:
    """Return what states take beside the subject; tensors that several share count once."""
    own = {value.data_ptr() for value in _tensors(State.of(subject))}
    sizes: dict[int, int] = {}
    for state in states:
        for value in _tensors(state):
            sizes[value.data_ptr()] = value.numel() * value.element_size()
    return sum(size for place, size in sizes.items() if place not in own)


def _tensors(state: State) -> list[Tensor]:
    return list(state.model.state_dict().values())
