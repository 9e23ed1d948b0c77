"""Grading a folder of learners' notebooks: points for each question, as a table.

Of a learner's notebook only the cells to be written in are taken; everything else comes from the lesson's source, so
that a test that was changed or deleted judges as before. Nothing of it runs in this process: see `runner`.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import psutil

from workbench.errors import WorkbenchError
from workbench.jobs.progress import Progress
from workbench.lessons.course import LESSONS, Lesson, lesson
from workbench.lessons.questions import read_questions
from workbench.lessons.source import Cell, graded, read, without_answers

ANSWER = "application/vnd.workbench.answer+json"
LARGEST_NOTEBOOK = 50 << 20
# A spreadsheet takes text that begins like this for a formula.
FORMULA = ("=", "+", "-", "@", "\t")
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
    """

    learner: str
    lesson: str
    question: str
    kind: str
    points: int
    of: int
    said: str


@dataclass(frozen=True)
class _Found:
    """A notebook of a lesson: where it is, whose, of which lesson, and what it holds."""

    path: Path
    who: str
    lesson: Lesson
    contents: dict[str, Any]


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
    found, grades = _look(folder)
    if not found:
        why = f"; {grades[0].said}" if grades else ""
        raise WorkbenchError(f"there is no notebook of a lesson in {_plain(str(folder))}{why}")
    by_lesson = {one.lesson: read(sources / f"{one.lesson.key}.py") for one in found}
    for which, source in by_lesson.items():
        progress.update(0.0, f"running the setup of {which.name}")
        setup = [cell for cell in _to_run(source, {}) if cell["kind"] == "setup"]
        if wrong := _own_failure(setup, run_apart(setup, limits)):
            raise WorkbenchError(f"{which.name}: the lesson's own setup failed: {wrong}")
    copies: dict[tuple[str, Lesson], list[tuple[_Found, list[Grade]]]] = defaultdict(list)
    for place, one in enumerate(found):
        progress.update(place / len(found), f"grading {one.path.name}")
        copies[one.who, one.lesson].append((one, _one(one, by_lesson[one.lesson], limits)))
    for same in copies.values():
        best, counted = max(same, key=lambda copy: _points(copy[1]))  # the first of those that are equal
        grades += counted
        for one, its in same:
            if one is not best:
                less = f"{_plain(one.path.name)} does not count, with {_points(its)} points"
                said = f"{less}: another copy of this lesson, {_plain(best.path.name)}, has {_points(counted)}"
                grades.append(Grade(one.who, one.lesson.name, "", "notebook", 0, 0, said))
    return grades


def _points(grades: Iterable[Grade]) -> int:
    return sum(one.points for one in grades)


def _plain(text: str) -> str:
    """Return text that can be written anywhere: half characters, and names of files that are no text, as escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _look(folder: Path) -> tuple[list[_Found], list[Grade]]:
    """Return the notebooks of lessons below a folder, and a row for each notebook that is none."""
    names = {one.name for one in LESSONS}
    found: list[_Found] = []
    others = []
    for path in sorted(folder.rglob("*.ipynb")):
        above = path.relative_to(folder).parts[:-1]
        if ".ipynb_checkpoints" in above:
            continue
        who = _plain("/".join(part for part in above if part not in names) or path.stem)
        try:
            which, contents = _lesson(path)
        except WorkbenchError as error:
            said = f"{_plain(path.name)} was not graded: {error}"
            others.append(Grade(who, "", "", "notebook", 0, 0, _plain(said)))
        else:
            found.append(_Found(path, who, which, contents))
    return found, others


def _lesson(path: Path) -> tuple[Lesson, dict[str, Any]]:
    """Return which lesson a notebook is of, and what it holds.

    Raises:
        WorkbenchError: It is of none, or cannot be read.
    """
    try:
        if not path.is_file():
            raise WorkbenchError("it is no file")
        if path.stat().st_size > LARGEST_NOTEBOOK:
            raise WorkbenchError(f"it is larger than {LARGEST_NOTEBOOK >> 20} MB; clear its outputs")
        contents = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise WorkbenchError(f"it cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise WorkbenchError("it is damaged, and no JSON") from None
    name: Any = contents
    for key in ("metadata", "workbench", "lesson"):
        name = name.get(key) if isinstance(name, dict) else None
    if not isinstance(name, str):
        raise WorkbenchError("it does not say which lesson it is of")
    return lesson(name[:100]), contents


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


def _one(found: _Found, source: tuple[Cell, ...], limits: Limits) -> list[Grade]:
    who, which, contents = found.who, found.lesson, found.contents
    written = _chosen(_written(contents), {cell.key: cell.source for cell in source if cell.kind == "solution"})
    to_run = _to_run(source, written)
    said = run_apart(to_run, limits)
    if failed := _own_failure(to_run, said):
        text = f"{_plain(found.path.name)} was not graded: the lesson's own setup failed: {_plain(failed)}"
        return [Grade(who, which.name, "", "notebook", 0, 0, text)]
    grades = []
    for cell in (one for one in source if one.kind == "test"):
        wrong = "the cell is not there any more" if cell.key not in written else _plain(_wrong(said, cell.key))
        grades.append(Grade(who, which.name, cell.key, "code", 0 if wrong else cell.points, cell.points, wrong))
    asked, answers = read_questions(which.key), dict(_answers(contents))
    for key, question in asked.items():
        grades.append(Grade(who, which.name, key, "prediction", 0, 0, question.words(answers.get(key))))
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
    with (
        tempfile.TemporaryDirectory(prefix="workbench-grade-", ignore_cleanup_errors=True) as home,
        tempfile.TemporaryFile() as told,  # it has no name under which a learner's code would find it
    ):
        environment = {
            **{name: os.environ[name] for name in ("PATH", "LANG", "SYSTEMROOT") if name in os.environ},
            "HOME": home, "TMPDIR": home, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1",
        }  # fmt: skip
        process = subprocess.Popen(  # noqa: S603  # our own module
            [sys.executable, "-I", str(Path(__file__).with_name("runner.py"))],
            stdin=subprocess.PIPE, stdout=told, stderr=subprocess.DEVNULL, cwd=home, env=environment,
            start_new_session=True,
        )  # fmt: skip
        try:
            process.communicate(json.dumps(work).encode(), timeout=budget + limits.grace)
            code = process.returncode
            ended = "its limits ended the process" if code < 0 else f"the process ended with {code}" if code else ""
        except subprocess.TimeoutExpired:
            ended = "it took too long, and did not let itself be stopped"
        finally:
            _end(process)
        told.seek(0)
        lines = told.read().decode(errors="replace").split("\n")
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


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and what it started, also where it has ended itself and left that behind."""
    try:
        family = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        family = []
    process.kill()
    if hasattr(os, "killpg"):  # it has a session of its own; the group outlives its leader
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    for one in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    process.wait()


def _cells(contents: dict[str, Any]) -> Iterator[dict[str, Any]]:
    listed = contents.get("cells")
    yield from (cell for cell in (listed if isinstance(listed, list) else []) if isinstance(cell, dict))


def _written(contents: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the questions that a notebook has a cell for, and what is written there."""
    for cell in _cells(contents):
        metadata = cell.get("metadata")
        marked = metadata.get("nbgrader") if isinstance(metadata, dict) else None
        if isinstance(marked, dict) and marked.get("solution") and cell.get("cell_type") == "code":
            key, text = marked.get("grade_id"), cell.get("source")
            lines = text if isinstance(text, list) else [text]
            if isinstance(key, str):
                yield key, "".join(line for line in lines if isinstance(line, str))


def _answers(contents: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the predictions that a saved notebook holds in its outputs."""
    for cell in _cells(contents):
        outputs = cell.get("outputs")
        for output in outputs if isinstance(outputs, list) else []:
            data = output.get("data") if isinstance(output, dict) else None
            held = data.get(ANSWER) if isinstance(data, dict) else None
            if isinstance(held, dict) and isinstance(held.get("question"), str) and held.get("answer") is not None:
                yield held["question"], held["answer"]


def check_writable(path: Path) -> None:
    """Refuse a table that could not be written, before the hours of grading for it.

    Raises:
        WorkbenchError: Its folder is not there, it is a folder itself, or it may not be written.
    """
    if not path.parent.is_dir():
        raise WorkbenchError(f"{path} cannot be written: there is no folder {path.parent}")
    if path.is_dir():
        raise WorkbenchError(f"{path} cannot be written: it is a folder")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise WorkbenchError(f"{path} cannot be written: permission denied")


def write_grades(path: Path, grades: Iterable[Grade]) -> None:
    """Write the table as CSV.

    Raises:
        WorkbenchError: The file cannot be written.
    """
    try:
        with path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
            rows = csv.writer(file)
            rows.writerow([field.name for field in fields(Grade)])
            for one in grades:
                rows.writerow([f"'{v}" if isinstance(v, str) and v.startswith(FORMULA) else v for v in astuple(one)])
    except OSError as error:
        raise WorkbenchError(f"{path} cannot be written: {error.strerror}") from None
