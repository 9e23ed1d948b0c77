"""A recipe: steps in order, as JSON, and the run that builds a model from them."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.checkpoint.facts import plain, read_json, said
from workbench.errors import WorkbenchError, enough_memory, shown, within
from workbench.jobs.progress import Progress
from workbench.model.subject import Subject
from workbench.steps import KINDS, Context, State, Step

FORMAT = "workbench recipe"
VERSION = 1
SEEDS = 2**63  # what torch takes


@dataclass(frozen=True)
class Recipe:
    """Steps in the order they are done, and the seed of all chance in them.

    The same recipe on the same subject gives the same checkpoint.
    """

    steps: tuple[Step, ...] = ()
    seed: int = 0

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)

    def __len__(self) -> int:
        return len(self.steps)

    def then(self, step: Step) -> Recipe:
        """Return the recipe with one more step."""
        return Recipe((*self.steps, step), self.seed)

    @property
    def key(self) -> str:
        """Twelve hex digits, the same for equal recipes."""
        return hashlib.sha256(json.dumps(self.facts(), sort_keys=True).encode()).hexdigest()[:12]

    def facts(self) -> dict[str, Any]:
        """Return the recipe as plain JSON."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "seed": self.seed,
            "steps": [step.facts() for step in self.steps],
        }

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> Recipe:
        """Return the recipe of plain JSON.

        Raises:
            WorkbenchError: It is no recipe, or one of a newer version; a kind, field or value is not accepted.
        """
        if not isinstance(facts, Mapping) or facts.get("format") != FORMAT:
            raise WorkbenchError(f'this is no recipe: it must be a JSON object with "format": "{FORMAT}"')
        if type(facts.get("version")) is not int or facts["version"] != VERSION:
            raise WorkbenchError(f"recipe version {said(facts.get('version'))} is not read; this reads {VERSION}")
        unknown = set(facts) - {"format", "version", "seed", "steps"}
        if unknown:
            raise WorkbenchError(f"a recipe has no field {shown(', '.join(sorted(map(str, unknown))), 200)}")
        seed, steps = facts.get("seed", 0), facts.get("steps", [])
        if type(seed) is not int or not 0 <= seed < SEEDS:
            raise WorkbenchError(f"a recipe's seed is a whole number from 0 to {SEEDS - 1}, not {said(seed)}")
        if not isinstance(steps, Sequence) or isinstance(steps, str):
            raise WorkbenchError("a recipe's steps are a list")
        return cls(tuple(read_step(step, number) for number, step in enumerate(steps, 1)), seed)

    def save(self, path: str | Path) -> None:
        """Write the recipe as JSON."""
        Path(path).write_text(json.dumps(self.facts(), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Recipe:
        """Return the recipe of a JSON file.

        Raises:
            WorkbenchError: The file cannot be read or holds no recipe.
        """
        try:
            return cls.read(read_json(Path(path)))
        except WorkbenchError as error:
            raise WorkbenchError(f"{shown(str(path), 200)} cannot be read as a recipe: {error}") from error

    def differences(self, other: Recipe) -> tuple[tuple[str, str], ...]:
        """Return the steps of both as ("-" only here, "+" only in `other`, " " in both; the Python that makes it)."""
        lines = difflib.ndiff(self.code().splitlines(), other.code().splitlines())
        return tuple((line[0], line[2:]) for line in lines if line[0] != "?")

    def code(self) -> str:
        """Return the steps as the Python that makes them, one a line."""
        return "\n".join(step_code(step) for step in self.steps)


def read_step(facts: Any, number: int = 1) -> Step:
    """Return the step of plain JSON; the kind is looked up in the table, never anywhere else."""
    place = f"step {number}"
    if not isinstance(facts, Mapping) or "kind" not in facts:
        raise WorkbenchError(f'{place}: a step is a JSON object with a "kind"')
    kind = facts["kind"]
    if not isinstance(kind, str) or kind not in KINDS:
        raise WorkbenchError(f"{place}: kind {said(kind)} is not known; known are {', '.join(KINDS)}")
    with within(place):
        fields = {shown(str(name)): plain(value, shown(str(name))) for name, value in facts.items() if name != "kind"}
        return KINDS[kind].read(fields)


def step_code(step: Step) -> str:
    """Return the Python that makes a step, with only the fields that differ from their defaults."""
    arguments = [
        f"{option.name}={getattr(step, option.name)!r}"
        for option in step.options()
        if getattr(step, option.name) != option.default
    ]
    return f"wb.{type(step).__name__}({', '.join(arguments)})"


def check_possible(subject: Subject, recipe: Recipe, done: int = 0) -> None:
    """Raise `WorkbenchError` if a step lacks what it needs: known before any work is done, and not after minutes of it.

    Args:
        subject: What the recipe is for.
        recipe: The steps.
        done: Number of steps that are done already.
    """
    for number, step in enumerate(recipe.steps[done:], done + 1):
        if why := step.lacks(subject.task):
            raise WorkbenchError(f"step {number} ({step.kind}): {step.title}: {why}")


def run(
    subject: Subject,
    recipe: Recipe,
    progress: Progress | None = None,
    start: tuple[int, State] | None = None,
    folder: Path | None = None,
) -> State:
    """Return the state that a recipe makes of a subject. The subject is not touched.

    Args:
        subject: What is compressed.
        recipe: The steps.
        progress: Where progress is told, and cancelling asked.
        start: Number of steps that are done already, and their state.
        folder: Where training keeps its place, so that it goes on where it was cut short; None for nowhere.

    Raises:
        WorkbenchError: A step cannot be done; the message names it.
    """
    progress = progress or Progress()
    done, state = start or (0, State.of(subject))
    left = recipe.steps[done:]
    check_possible(subject, recipe, done)
    for number, step in enumerate(left):
        share = progress.part(number / len(left), (number + 1) / len(left), step.title)
        share.update(0.0)
        with within(f"step {done + number + 1} ({step.kind})"), enough_memory("the step was done"):
            state = step.build(state, Context(subject, recipe.seed, share, folder))
    return state
