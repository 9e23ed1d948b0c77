"""Grading a folder of learners' notebooks: points for each question, as a table.

Of a learner's notebook only the cells to be written in are taken; everything else comes from the lesson's source, so
that a test that was changed or deleted judges as before. Nothing of it runs in this process: see `runner`.
"""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from workbench.errors import WorkbenchError
from workbench.jobs.progress import Progress
from workbench.lessons.apart import run_script
from workbench.lessons.course import Lesson
from workbench.lessons.questions import read_questions
from workbench.lessons.source import Cell, graded, read, without_answers
from workbench.lessons.submissions import Found, answers_of, look, plain, written

# What a learner has not touched yet, in whatever language the rest of the cell is.
STUB = re.compile(r"#\s*YOUR CODE HERE\s+raise NotImplementedError")
GB = 1 << 30
MOST_GB = 1024
LONGEST_CELL = 86400.0


@dataclass(frozen=True)
class Limits:
    """What a learner's code may use.

    Attributes:
        seconds: For each cell.
        setup_seconds: For a cell that comes with the lesson, such as one that loads a model.
        memory: Bytes of address space.
        grace: Seconds beyond all these, for the process to begin and to end.
    """

    seconds: float = 20.0
    setup_seconds: float = 120.0
    memory: int = 8 * GB
    grace: float = 60.0

    def __post_init__(self) -> None:
        if not GB <= self.memory <= MOST_GB * GB:
            raise WorkbenchError(f"the memory of a learner's code must be from 1 to {MOST_GB} GB")
        if not 0 < self.seconds <= LONGEST_CELL:
            raise WorkbenchError(f"the time of a cell must be above 0 and at most {LONGEST_CELL:.0f} s")


@dataclass(frozen=True)
class Grade:
    """One row of the table.

    Attributes:
        learner: Whose notebook it is: the folders above it, or its name where there are none.
        lesson: Name of the lesson.
        question: What was asked.
        kind: "code", or "prediction", which has no points: a wrong guess is no mistake; or "notebook", which has none
            either: a file that was not graded or does not count, and `said` is why.
        points: Reached.
        of: That can be reached.
        said: What was wrong, or the answer to a prediction.
        judged: What became of a prediction on the learner's machine: "right", "close", "wrong"; "" before the reveal,
            and of code.
    """

    learner: str
    lesson: str
    question: str
    kind: str
    points: int
    of: int
    said: str
    judged: str = ""


def grade(folder: Path, sources: Path, limits: Limits | None = None, progress: Progress | None = None) -> list[Grade]:
    """Grade every lesson's notebook below a folder.

    Of several copies of a lesson in one learner's folder the one with most points counts: which was written last is
    nothing that a folder still tells after it was packed or copied. Files that cannot be graded have a row too.

    Args:
        folder: With a folder for each learner, as nbgrader has them, or with all notebooks side by side.
        sources: The lessons' sources.
        limits: For each learner's code.
        progress: Who is told, and may stop it.

    Raises:
        WorkbenchError: There is no such folder, no notebook of a lesson in it, no source, or the setup that comes with
            a lesson fails.
        Cancelled: It was told to stop.
    """
    limits, progress = limits or Limits(), progress or Progress()
    if not folder.is_dir():
        raise WorkbenchError(f"{folder} is no folder")
    found, others = look(folder)
    grades = [Grade(who, "", "", "notebook", 0, 0, said) for who, said in others]
    if not found:
        why = f"; {grades[0].said}" if grades else ""
        raise WorkbenchError(f"there is no notebook of a lesson in {plain(str(folder))}{why}")
    by_lesson = {one.lesson: read(sources / f"{one.lesson.key}.py") for one in found}
    for which, source in by_lesson.items():
        progress.update(0.0, f"running the setup of {which.name}")
        setup = [cell for cell in _to_run(source, {}) if cell["kind"] == "setup"]
        if wrong := _own_failure(setup, run_apart(setup, limits)):
            raise WorkbenchError(f"{which.name}: the lesson's own setup failed: {wrong}")
    copies: dict[tuple[str, Lesson], list[tuple[Found, list[Grade]]]] = defaultdict(list)
    for place, one in enumerate(found):
        progress.update(place / len(found), f"grading {one.path.name}")
        copies[one.who, one.lesson].append((one, _one(one, by_lesson[one.lesson], limits)))
    for same in copies.values():
        best, counted = max(same, key=lambda copy: _points(copy[1]))  # the first of those that are equal
        grades += counted
        for one, its in same:
            if one is not best:
                less = f"{plain(one.path.name)} does not count, with {_points(its)} points"
                said = f"{less}: another copy of this lesson, {plain(best.path.name)}, has {_points(counted)}"
                grades.append(Grade(one.who, one.lesson.name, "", "notebook", 0, 0, said))
    return grades


def _points(grades: Iterable[Grade]) -> int:
    return sum(one.points for one in grades)


def _to_run(source: Sequence[Cell], written: Mapping[str, str]) -> list[dict[str, str]]:
    """Return what is run of a lesson: its own cells, and between them what the learner wrote."""
    return [
        {
            "kind": cell.kind,
            "key": f"setup {number}" if cell.kind == "setup" else cell.key,
            "source": written.get(cell.key, "") if cell.kind == "solution" else cell.source,
        }
        for number, cell in enumerate(graded(tuple(source)))
    ]


def _own_failure(to_run: Iterable[dict[str, str]], said: Mapping[tuple[str, str], str]) -> str:
    """Return why the lesson's own cells failed before anything of a learner's ran, "" if they did not."""
    for cell in to_run:
        if cell["kind"] != "setup":
            return ""
        if wrong := said.get(("setup", cell["key"]), said["", ""] or "it was not reached"):
            return wrong
    return ""


def _one(found: Found, source: tuple[Cell, ...], limits: Limits) -> list[Grade]:
    who, which, contents = found.who, found.lesson, found.contents
    answered = _chosen(written(contents), {cell.key: cell.source for cell in source if cell.kind == "solution"})
    to_run = _to_run(source, answered)
    said = run_apart(to_run, limits)
    if failed := _own_failure(to_run, said):
        text = f"{plain(found.path.name)} was not graded: the lesson's own setup failed: {plain(failed)}"
        return [Grade(who, which.name, "", "notebook", 0, 0, text)]
    grades = []
    for cell in (one for one in source if one.kind == "test"):
        wrong = "the cell is not there any more" if cell.key not in answered else plain(_wrong(said, cell.key))
        grades.append(Grade(who, which.name, cell.key, "code", 0 if wrong else cell.points, cell.points, wrong))
    answers = {key: (answer, judged) for key, answer, judged in answers_of(contents)}
    for key, question in read_questions(which.key).items():
        answer, judged = answers.get(key, (None, ""))
        grades.append(Grade(who, which.name, key, "prediction", 0, 0, question.words(answer), judged))
    return grades


def _chosen(written: Iterable[tuple[str, str]], solutions: Mapping[str, str]) -> dict[str, str]:
    """Return what counts of each question: where its cell was copied, the first in which something was written."""
    chosen: dict[str, str] = {}
    for key, text in written:
        if key not in chosen or (
            _untouched(chosen[key], solutions.get(key, "")) and not _untouched(text, solutions.get(key, ""))
        ):
            chosen[key] = text
    return chosen


def _untouched(text: str, solution: str) -> bool:
    stub = without_answers(solution)
    return not text.strip() or text.split() == stub.split() or STUB.search(text) is not None


def _wrong(said: dict[tuple[str, str], str], key: str) -> str:
    """Return what is wrong with an answer, "" if it is right; a cell that does not run says more than its test."""
    own, test = said.get(("solution", key)), said.get(("test", key))
    if test is None:
        return own or said.get(("", ""), "") or "it was not reached: an earlier cell ended the process"
    return (own or test) if test else ""


def run_apart(to_run: Sequence[dict[str, str]], limits: Limits) -> dict[tuple[str, str], str]:
    """Run cells in a process with limits, and return what is wrong with each, by its kind and key.

    What ended the process as a whole stands under ("", "").
    """
    secret = secrets.token_hex(16)
    budget = sum(limits.setup_seconds if cell["kind"] == "setup" else limits.seconds for cell in to_run)
    work = {
        "secret": secret,
        "cells": list(to_run),
        "seconds": limits.seconds,
        "setup_seconds": limits.setup_seconds,
        "memory": limits.memory,
        "processor_seconds": int(budget + limits.grace),
        "path": [path for path in sys.path if path],
    }
    lines, ended = run_script(Path(__file__).with_name("runner.py"), json.dumps(work).encode(), budget + limits.grace)
    return {("", ""): ended, **_results(lines, secret)}


def _results(lines: Iterable[str], secret: str) -> dict[tuple[str, str], str]:
    """Return what the process said of each cell: the first that it said, and nothing that others wrote there."""
    said: dict[tuple[str, str], str] = {}
    for line in lines:
        word, _, text = line.partition(" ")
        if word == secret:
            with contextlib.suppress(ValueError, KeyError, TypeError):  # a line that was cut, or written over
                found = json.loads(text)
                said.setdefault((str(found["kind"]), str(found["key"])), str(found["said"]))
    return said
