"""Grading a folder of learners' notebooks: points for each question, as a table.

Of a learner's notebook only the cells to be written in are taken; everything else comes from the lesson's source, so
that a test that was changed or deleted judges as before. Nothing of it runs in this process: see `runner`.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import psutil

from workbench.errors import WorkbenchError
from workbench.jobs.progress import Progress
from workbench.lessons.course import Lesson, lesson
from workbench.lessons.questions import read_questions
from workbench.lessons.source import Cell, graded, read

ANSWER = "application/vnd.workbench.answer+json"
LARGEST_NOTEBOOK = 50 << 20
# A spreadsheet takes text that begins like this for a formula.
FORMULA = ("=", "+", "-", "@", "\t")


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
    memory: int = 8 << 30
    grace: float = 60.0


@dataclass(frozen=True)
class Grade:
    """One row of the table.

    Attributes:
        learner: Whose notebook it is: the folders above it, or its name where there are none.
        lesson: Name of the lesson.
        question: What was asked.
        kind: "code", or "prediction", which has no points: a wrong guess is no mistake.
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


def grade(folder: Path, sources: Path, limits: Limits | None = None, progress: Progress | None = None) -> list[Grade]:
    """Grade every lesson's notebook below a folder.

    Args:
        folder: With a folder for each learner, as nbgrader has them, or with all notebooks side by side.
        sources: The lessons' sources.
        limits: For each learner's code.
        progress: Who is told, and may stop it.

    Raises:
        WorkbenchError: There is no such folder, no notebook of a lesson in it, or no source.
        Cancelled: It was told to stop.
    """
    limits, progress = limits or Limits(), progress or Progress()
    if not folder.is_dir():
        raise WorkbenchError(f"{folder} is no folder")
    found = [(path, *held) for path in sorted(folder.rglob("*.ipynb")) if (held := _lesson(path))]
    if not found:
        raise WorkbenchError(f"there is no notebook of a lesson in {folder}")
    grades: list[Grade] = []
    for place, (path, which, contents) in enumerate(found):
        progress.update(place / len(found), f"grading {path.name}")
        above = path.relative_to(folder).parts[:-1]
        who = "/".join(part for part in above if part != which.name) or path.stem
        grades += _one(who, which, contents, read(sources / f"{which.key}.py"), limits)
    return grades


def _lesson(path: Path) -> tuple[Lesson, dict[str, Any]] | None:
    """Return which lesson a notebook is of, and what it holds; None where it is of none."""
    try:
        if ".ipynb_checkpoints" in path.parts or path.stat().st_size > LARGEST_NOTEBOOK:
            return None
        contents = json.loads(path.read_text(encoding="utf-8"))
        return lesson(contents["metadata"]["workbench"]["lesson"]), contents
    except (OSError, ValueError, KeyError, TypeError, WorkbenchError, RecursionError):
        return None


def _one(who: str, which: Lesson, contents: dict[str, Any], source: tuple[Cell, ...], limits: Limits) -> list[Grade]:
    written = dict(_written(contents))
    to_run = [
        {
            "kind": cell.kind,
            "key": cell.key,
            "source": written.get(cell.key, "") if cell.kind == "solution" else cell.source,
        }
        for cell in graded(source)
    ]
    said = run_apart(to_run, limits)
    grades = []
    for cell in (one for one in source if one.kind == "test"):
        wrong = "the cell is not there any more" if cell.key not in written else _wrong(said, cell.key)
        grades.append(Grade(who, which.name, cell.key, "code", 0 if wrong else cell.points, cell.points, wrong))
    asked, answers = read_questions(which.key), dict(_answers(contents))
    for key, question in asked.items():
        grades.append(Grade(who, which.name, key, "prediction", 0, 0, question.words(answers.get(key))))
    return grades


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
    budget = sum(limits.setup_seconds if cell["kind"] == "setup" else limits.seconds for cell in to_run)
    work = {
        "cells": list(to_run),
        "seconds": limits.seconds,
        "setup_seconds": limits.setup_seconds,
        "memory": limits.memory,
        "processor_seconds": int(budget + limits.grace),
        "path": [path for path in sys.path if path],
    }
    with tempfile.TemporaryDirectory(prefix="workbench-grade-", ignore_cleanup_errors=True) as made:
        home, told = Path(made) / "home", Path(made) / "told.jsonl"
        home.mkdir()
        environment = {
            **{name: os.environ[name] for name in ("PATH", "LANG", "SYSTEMROOT") if name in os.environ},
            "HOME": str(home), "TMPDIR": str(home), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1",
        }  # fmt: skip
        process = subprocess.Popen(  # noqa: S603  # our own module
            [sys.executable, "-I", str(Path(__file__).with_name("runner.py")), str(told)],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=home, env=environment,
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
        lines = told.read_text(errors="replace").splitlines() if told.exists() else []
    return {("", ""): ended, **dict(_results(lines))}


def _results(lines: Iterable[str]) -> Iterator[tuple[tuple[str, str], str]]:
    for line in lines:
        try:
            found = json.loads(line)
            yield (str(found["kind"]), str(found["key"])), str(found["said"])
        except (ValueError, KeyError, TypeError):
            continue


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
            text = cell.get("source", "")
            yield str(marked.get("grade_id")), "".join(map(str, text)) if isinstance(text, list) else str(text)


def _answers(contents: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the predictions that a saved notebook holds in its outputs."""
    for cell in _cells(contents):
        outputs = cell.get("outputs")
        for output in outputs if isinstance(outputs, list) else []:
            held = output.get("data", {}).get(ANSWER) if isinstance(output, dict) else None
            if isinstance(held, dict) and held.get("answer") is not None:
                yield str(held.get("question")), held["answer"]


def write_grades(path: Path, grades: Iterable[Grade]) -> None:
    """Write the table as CSV.

    Raises:
        WorkbenchError: The file cannot be written.
    """
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow([field.name for field in fields(Grade)])
            for one in grades:
                rows.writerow([f"'{v}" if isinstance(v, str) and v.startswith(FORMULA) else v for v in astuple(one)])
    except OSError as error:
        raise WorkbenchError(f"{path} cannot be written: {error.strerror}") from None
