"""Grading on the command line."""

from __future__ import annotations

import dataclasses
import json
import sys
from argparse import Namespace
from collections import defaultdict
from pathlib import Path

from workbench.cli import console
from workbench.errors import WorkbenchError
from workbench.jobs.progress import Progress
from workbench.lessons.grading import GB, MOST_GB, Grade, Limits, check_writable, grade, write_grades

SOURCES = Path(__file__).parents[2] / "lessons"


def grade_folder(chosen: Namespace) -> None:
    """Grade a folder of notebooks, write the table, and print who has how many points.

    Raises:
        WorkbenchError: There is nothing to grade, no source to grade by, or the table cannot be written.
    """
    sources = Path(chosen.lessons) if chosen.lessons else SOURCES
    if not sources.is_dir():
        raise WorkbenchError(f"the lessons' sources are not in {sources}; name their folder with --lessons")
    # A number that is far too large is still to be one: `Limits` says what may be.
    limits = Limits(seconds=chosen.seconds or 1.0, memory=int(min(chosen.memory, 2 * MOST_GB) * GB))
    check_writable(Path(chosen.out))
    line = console.ProgressLine(sys.stderr, chosen.quiet)
    try:
        grades = grade(Path(chosen.folder), sources, limits, Progress(line))
    finally:
        line.clear()
    for one in grades:
        if one.kind == "notebook":
            print(f"workbench: {one.learner}: {one.said}", file=sys.stderr)
    write_grades(Path(chosen.out), grades)
    print(json.dumps([dataclasses.asdict(one) for one in grades]) if chosen.json else _summary(grades, chosen.out))


def _summary(grades: list[Grade], path: str) -> str:
    of: dict[tuple[str, str], list[Grade]] = defaultdict(list)
    for one in (row for row in grades if row.kind != "notebook"):
        of[one.learner, one.lesson].append(one)
    rows = []
    for (learner, lesson), held in sorted(of.items()):
        code = [one for one in held if one.kind == "code"]
        guesses = [one for one in held if one.kind == "prediction"]
        reached, most = sum(one.points for one in code), sum(one.of for one in code)
        predicted = f"{sum(bool(one.said) for one in guesses)} of {len(guesses)}"
        rows.append((learner, lesson, f"{reached} of {most}", predicted))
    shown = console.table(("learner", "lesson", "points", "predicted"), rows, right=(2, 3))
    return f"{shown}\nwritten: {path}"
