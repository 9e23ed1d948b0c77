"""The table of a class: recipes that learners handed in, run anew and measured here.

A recipe is data, so nothing of a learner's runs, and no number of a learner's counts. Each is run in a process of its
own with limits of time and memory, judged by the test split, which nobody was to choose by, and timed against the
untouched model.
"""

from __future__ import annotations

import json
import math
import secrets
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from workbench.errors import WorkbenchError
from workbench.jobs.progress import Progress
from workbench.lessons.apart import run_script
from workbench.lessons.submissions import look, plain, recipe_of
from workbench.steps.recipe import Recipe

CAPSTONE = "capstone"
LONGEST = 3600.0
MOST_STEPS = 200  # of a recipe: all of it is read here, before any limit of time


@dataclass(frozen=True)
class Rules:
    """What entries are made of, and what they may lose.

    Attributes:
        subject: Name of the embedded model.
        lose: Points that an entry may lose on the test split.
        seconds: For one recipe, with all that is measured.
        memory: Bytes of address space.
    """

    subject: str = "digits-transformer"
    lose: float = 1.0
    seconds: float = 600.0
    memory: int = 8 << 30

    def __post_init__(self) -> None:
        if not (math.isfinite(self.lose) and 0 <= self.lose <= 100):
            raise WorkbenchError("an entry may lose from 0 to 100 points")
        if not 0 < self.seconds <= LONGEST:
            raise WorkbenchError(f"the time of an entry must be above 0 and at most {LONGEST:.0f} s")


@dataclass(frozen=True)
class Entry:
    """One row of the table; of an entry that could not be run only the learner and what was wrong are known.

    Attributes:
        place: 1 for the best; 0 for who is out.
        learner: Whose it is.
        bytes: Of the file.
        lost: Points lost on the test split; below 0 for a gain.
        low: Lower end of the 95 % interval of that on other data.
        high: Upper end.
        validation: Points lost on the validation split, by which the learner chose.
        faster: How many times as fast as the untouched model, on ONNX Runtime, on this machine.
        verdict: Of that: "faster", "slower", "within noise" or "unknown".
        said: Why an entry is out, or what its interval leaves open.
        steps: The recipe, as the Python that makes it.
    """

    place: int
    learner: str
    bytes: int = 0
    lost: float = math.nan
    low: float = math.nan
    high: float = math.nan
    validation: float = math.nan
    faster: float = math.nan
    verdict: str = ""
    said: str = ""
    steps: str = ""


def leaderboard(folder: Path, rules: Rules, progress: Progress | None = None) -> list[Entry]:
    """Return the table of all recipes that notebooks of the capstone below a folder hold; those who are out come last.

    Of several notebooks of a learner the recipe counts that stands best. Equal recipes are run once.

    Raises:
        WorkbenchError: There is no notebook of the capstone.
        Cancelled: It was told to stop.
    """
    progress = progress or Progress()
    handed_in = [one for one in look(folder)[0] if one.lesson.key == CAPSTONE]
    if not handed_in:
        raise WorkbenchError(f"there is no notebook of the capstone in {plain(str(folder))}")
    known: dict[str, Entry] = {}
    entries: dict[str, list[Entry]] = {}
    for number, one in enumerate(handed_in):
        progress.update(number / len(handed_in), f"running the recipe of {one.who}")
        facts = recipe_of(one.contents)
        key = json.dumps(facts, sort_keys=True)
        if key not in known:
            known[key] = _entry(facts, rules)
        entries.setdefault(one.who, []).append(replace(known[key], learner=one.who))
    return _placed([min(held, key=lambda one: _order(one, rules)) for held in entries.values()], rules)


def _entry(facts: Mapping[str, Any] | None, rules: Rules) -> Entry:
    """Return what became of a recipe; whose it is comes later."""
    if facts is None:
        return Entry(0, "", said="no recipe was handed in: its output is not in the notebook")
    listed = facts.get("steps")
    if isinstance(listed, list) and len(listed) > MOST_STEPS:
        return Entry(0, "", said=f"its recipe has {len(listed):,} steps; {MOST_STEPS} are enough")
    try:
        recipe = Recipe.read(facts)
    except WorkbenchError as error:
        return Entry(0, "", said=plain(str(error)))
    steps = plain("; ".join(recipe.code().splitlines()))
    # A folder that a recipe names is one of whoever grades, and none that the learner handed in.
    if any(getattr(step, "teacher", "") for step in recipe):
        return Entry(
            0, "", said="its teacher is a folder, which is not here; the uncompressed model may teach", steps=steps
        )
    found = measure_apart(recipe, rules)
    if isinstance(found, str):
        return Entry(0, "", said=plain(found), steps=steps)
    return Entry(0, "", steps=steps, **found)


def measure_apart(recipe: Recipe, rules: Rules) -> dict[str, Any] | str:
    """Return what was measured of a recipe in a process of its own, or why it could not be."""
    secret = secrets.token_hex(16)
    work = {
        "secret": secret,
        "recipe": recipe.facts(),
        "subject": rules.subject,
        "memory": rules.memory,
        "processor_seconds": math.ceil(rules.seconds) + 1,
        "path": [path for path in sys.path if path],
    }
    lines, ended = run_script(Path(__file__).with_name("entry_runner.py"), json.dumps(work).encode(), rules.seconds)
    for line in lines:
        word, _, text = line.partition(" ")
        if word == secret:
            told: dict[str, Any] = json.loads(text)
            return str(told["said"]) if "said" in told else told
    return f"it took more than {rules.seconds:g} s" if "too long" in ended else ended or "nothing came of it"


def _placed(entries: Sequence[Entry], rules: Rules) -> list[Entry]:
    made = []
    for number, one in enumerate(sorted(entries, key=lambda one: _order(one, rules)), 1):
        if one.said or not one.lost <= rules.lose:
            said = one.said or f"it loses {one.lost:.2f} points, and {rules.lose:g} are allowed"
            made.append(replace(one, place=0, said=said))
        else:
            # The place goes by the test split alone; that it could be otherwise on other images is said.
            open_ = one.high > rules.lose
            said = f"on other data it may lose more than {rules.lose:g}" if open_ else ""
            made.append(replace(one, place=number, said=said))
    return made


def _order(one: Entry, rules: Rules) -> tuple[bool, bool, int, float, str]:
    failed = bool(one.said)
    return failed, failed or not one.lost <= rules.lose, one.bytes, 0.0 if failed else -one.faster, one.learner
