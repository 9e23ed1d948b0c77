"""A lesson's source, and the notebooks that are made of it.

The source is one file of Python in the percent format, with solutions and hidden tests; the learner's notebook is made
from it and holds neither. Cells begin with a line

    # %% [markdown]                      text, each line a comment
    # %%                                 code
    # %% setup                           code that graded cells need
    # %% solution id=threshold           what the learner writes, with ### BEGIN SOLUTION and ### END SOLUTION
    # %% test id=threshold points=2      what judges it, with ### BEGIN HIDDEN TESTS and ### END HIDDEN TESTS
    # %% wrong id=threshold says="..."   a plausible wrong answer and a part of what is to be said of it

The last kind is in no notebook: it is there for those who test the tests. Names in metadata are nbgrader's.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import WorkbenchError
from workbench.lessons.course import Lesson
from workbench.lessons.questions import words

HEAD = re.compile(r"^# %%(.*)$", re.MULTILINE)
SOLUTION = re.compile(r"^([ \t]*)### BEGIN SOLUTION\n.*?^[ \t]*### END SOLUTION[^\n]*\n?", re.DOTALL | re.MULTILINE)
HIDDEN = re.compile(r"^[ \t]*### BEGIN HIDDEN TESTS\n.*?^[ \t]*### END HIDDEN TESTS[^\n]*\n?", re.DOTALL | re.MULTILINE)
STUB = "\\1# YOUR CODE HERE\n\\1raise NotImplementedError\n"
KINDS = ("markdown", "code", "setup", "solution", "test", "wrong")
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        kind: One of `KINDS`.
        source: Its text; of markdown without comment signs.
        key: Name of the question, of a solution, test or wrong answer.
        points: Of a test.
        says: Of a wrong answer: part of what its test says.
    """

    kind: str
    source: str
    key: str = ""
    points: int = 0
    says: str = ""


def cells(text: str) -> tuple[Cell, ...]:
    """Return the cells of a source.

    Raises:
        WorkbenchError: A head cannot be read, or a solution has no test.
    """
    heads = list(HEAD.finditer(text))
    ends = [head.start() for head in heads[1:]] + [len(text)]
    found = tuple(_cell(head[1], text[head.end() : end].strip("\n")) for head, end in zip(heads, ends, strict=True))
    for cell in found:
        if cell.kind == "solution" and not any(one.kind == "test" and one.key == cell.key for one in found):
            raise WorkbenchError(f"the solution {cell.key!r} has no test")
    return found


def _cell(head: str, body: str) -> Cell:
    kind, *facts = shlex.split(head) or ["code"]
    kind = kind.strip("[]")
    given = dict(fact.partition("=")[::2] for fact in facts)
    if kind not in KINDS or not set(given) <= {"id", "points", "says"}:
        raise WorkbenchError(f"no cell begins with {head!r}")
    if kind == "markdown":
        body = "\n".join(line.removeprefix("#").removeprefix(" ") for line in body.splitlines())
    return Cell(kind, body, given.get("id", ""), int(given.get("points", 0)), given.get("says", ""))


def read(path: Path) -> tuple[Cell, ...]:
    """Return the cells of a source file.

    Raises:
        WorkbenchError: It cannot be read.
    """
    try:
        return cells(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise WorkbenchError(f"{path} cannot be read as a lesson: {error}") from None


def notebook(lesson: Lesson, source: tuple[Cell, ...], *, solutions: bool = False, language: str = "en") -> str:
    """Return a notebook as text: the learner's, or with solutions and hidden tests the teacher's."""
    made = [
        _notebook_cell(f"{lesson.key}-{number}", cell, solutions, words(language))
        for number, cell in enumerate(one for one in source if one.kind != "wrong")
    ]
    facts = {
        "cells": made,
        "metadata": {
            "kernelspec": KERNEL,
            "language_info": {"name": "python"},
            "workbench": {"language": language, "lesson": lesson.name},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(facts, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def _notebook_cell(name: str, cell: Cell, solutions: bool, said: Mapping[str, str]) -> dict[str, Any]:
    text = cell.source if solutions else without_answers(cell.source)
    if cell.kind == "test":  # one that passes in silence leaves its learner in doubt
        passed = said["passed_more" if HIDDEN.search(cell.source) else "passed"]
        text += f"\nprint({json.dumps(passed, ensure_ascii=False)})"
    facts: dict[str, Any] = {"id": name, "metadata": _metadata(name, cell), "source": text.splitlines(keepends=True)}
    if cell.kind == "markdown":
        return {"cell_type": "markdown", **facts}
    return {"cell_type": "code", "execution_count": None, "outputs": [], **facts}


def _metadata(name: str, cell: Cell) -> dict[str, Any]:
    headed = cell.kind == "markdown" and cell.source.startswith("#")
    shown = "slide" if headed else "skip" if cell.kind in ("setup", "solution", "test") else "-"
    facts: dict[str, Any] = {"slideshow": {"slide_type": shown}}
    if cell.kind in ("setup", "solution", "test"):
        facts["nbgrader"] = {
            "grade": cell.kind == "test",
            "grade_id": {"setup": name, "solution": cell.key, "test": f"{cell.key}_test"}[cell.kind],
            "locked": cell.kind != "solution",
            "schema_version": 3,
            "solution": cell.kind == "solution",
            "task": False,
            **({"points": cell.points} if cell.kind == "test" else {}),
        }
    return facts


def without_answers(text: str) -> str:
    """Return a cell's code as learners get it."""
    return HIDDEN.sub("", SOLUTION.sub(STUB, text)).rstrip("\n")


def graded(source: tuple[Cell, ...]) -> Iterator[Cell]:
    """Yield what a grader runs, in order: setups, solutions and tests, each whole."""
    yield from (cell for cell in source if cell.kind in ("setup", "solution", "test"))


def publish(sources: Path, notebooks: Path, lessons: tuple[Lesson, ...], language: str = "en") -> list[Path]:
    """Write the learner's notebooks of all sources that are there, and return their paths."""
    written = []
    for lesson in lessons:
        path = sources / f"{lesson.key}.py"
        if path.exists():
            target = notebooks / f"{lesson.name}.ipynb"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(notebook(lesson, read(path), language=language), encoding="utf-8")
            written.append(target)
    return written
