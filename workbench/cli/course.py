"""Grading on the command line."""

from __future__ import annotations

import dataclasses
import json
import sys
from argparse import Namespace
from collections import defaultdict
from pathlib import Path
from typing import Any

from workbench import formatting
from workbench.cli import console
from workbench.errors import WorkbenchError
from workbench.jobs.progress import Progress
from workbench.lessons.class_page import write_page
from workbench.lessons.grading import GB, MOST_GB, Grade, Limits, grade
from workbench.lessons.leaderboard import Entry, Rules, leaderboard
from workbench.lessons.tables import check_writable, write_table

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
    rules = Rules(chosen.subject, chosen.lose, chosen.entry_seconds or 1.0, limits.memory)
    for path in filter(None, (chosen.out, chosen.board, chosen.page)):
        check_writable(Path(path))
    line = console.ProgressLine(sys.stderr, chosen.quiet)
    try:
        grades = grade(Path(chosen.folder), sources, limits, Progress(line))
        entries = leaderboard(Path(chosen.folder), rules, Progress(line)) if chosen.board else []
    finally:
        line.clear()
    for one in grades:
        if one.kind == "notebook":
            print(f"workbench: {one.learner}: {one.said}", file=sys.stderr)
    write_table(Path(chosen.out), Grade, grades)
    if chosen.board:
        write_table(Path(chosen.board), Entry, entries)
    if chosen.page:
        write_page(Path(chosen.page), grades)
    if chosen.json:
        rows = [dataclasses.asdict(one) for one in grades]
        print(json.dumps({"grades": rows, "board": [_plain_row(one) for one in entries]} if chosen.board else rows))
        return
    print(_summary(grades, chosen.out))
    if chosen.page:
        print(f"written: {chosen.page}")
    if chosen.board:
        print(f"\n{_board(entries)}\nwritten: {chosen.board}")


def _plain_row(entry: Entry) -> dict[str, Any]:
    """Return an entry as JSON knows it: what is not known is null."""
    return {name: None if value != value else value for name, value in dataclasses.asdict(entry).items()}


def _board(entries: list[Entry]) -> str:
    rows = []
    for one in entries:
        if one.bytes:
            lost = formatting.minus(f"{one.lost:.2f} [{one.low:.2f}, {one.high:.2f}]")
            numbers = f"{one.bytes:,}", lost, f"{one.faster:.2f} ×, {one.verdict}"
        else:
            numbers = "", "", ""
        rows.append((f"{one.place}" if one.place else "out", one.learner, *numbers, one.said))
    return console.table(("place", "learner", "bytes", "points lost", "ONNX Runtime", ""), rows, right=(0, 2, 3))


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
