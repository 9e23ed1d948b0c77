"""What learners hand in: notebooks below a folder, whose they are, and what was written into them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import WorkbenchError
from workbench.lessons.course import LESSONS, Lesson, lesson

ANSWER = "application/vnd.workbench.answer+json"
RECIPE = "application/vnd.workbench.recipe+json"
JUDGED = ("right", "close", "wrong")
LARGEST_NOTEBOOK = 50 << 20
FOLDERS = frozenset({*(one.name for one in LESSONS), "lessons"})  # that nbgrader and `workbench serve` make


@dataclass(frozen=True)
class Found:
    """A notebook of a lesson: where it is, whose, of which lesson, and what it holds."""

    path: Path
    who: str
    lesson: Lesson
    contents: dict[str, Any]


def look(folder: Path) -> tuple[list[Found], list[tuple[str, str]]]:
    """Return the notebooks of lessons below a folder, and of each that is none whose it is, and why."""
    found: list[Found] = []
    others = []
    for path in sorted(folder.rglob("*.ipynb")):
        above = path.relative_to(folder).parts[:-1]
        if ".ipynb_checkpoints" in above or path.name == "workbench.ipynb":  # the panel's, which is handed out too
            continue
        who = plain("/".join(part for part in above if part not in FOLDERS) or path.stem)
        try:
            which, contents = _lesson(path)
        except WorkbenchError as error:
            said = f"{plain(path.name)} was not graded: {error}"
            others.append((who, plain(said)))
        else:
            found.append(Found(path, who, which, contents))
    return found, others


def plain(text: str) -> str:
    """Return text that can be written anywhere: half characters, and names of files that are no text, as escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _lesson(path: Path) -> tuple[Lesson, dict[str, Any]]:
    """Return which lesson a notebook is of, and what it holds.

    Raises:
        WorkbenchError: It is of none, or cannot be read.
    """
    try:
        if not path.is_file() or path.is_symlink():  # a link to somebody else's is not one's own
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


def notebook_cells(contents: dict[str, Any]) -> Iterator[dict[str, Any]]:
    listed = contents.get("cells")
    yield from (cell for cell in (listed if isinstance(listed, list) else []) if isinstance(cell, dict))


def written(contents: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the questions that a notebook has a cell for, and what is written there."""
    for cell in notebook_cells(contents):
        metadata = cell.get("metadata")
        marked = metadata.get("nbgrader") if isinstance(metadata, dict) else None
        if isinstance(marked, dict) and marked.get("solution") and cell.get("cell_type") == "code":
            key, text = marked.get("grade_id"), cell.get("source")
            lines = text if isinstance(text, list) else [text]
            if isinstance(key, str):
                yield key, "".join(line for line in lines if isinstance(line, str))


def answers_of(contents: dict[str, Any]) -> Iterator[tuple[str, Any, str]]:
    """Yield the predictions that a saved notebook holds in its outputs: question, answer, and what became of it."""
    for held in _outputs(contents, ANSWER):
        if isinstance(held.get("question"), str) and held.get("answer") is not None:
            judged = held.get("judged")
            yield held["question"], held["answer"], judged if judged in JUDGED else ""


def recipe_of(contents: dict[str, Any]) -> dict[str, Any] | None:
    """Return the recipe that a saved notebook holds in its outputs, as plain JSON; of several the last one."""
    return next(iter(list(_outputs(contents, RECIPE))[::-1]), None)


def _outputs(contents: dict[str, Any], kind: str) -> Iterator[dict[str, Any]]:
    for cell in notebook_cells(contents):
        outputs = cell.get("outputs")
        for output in outputs if isinstance(outputs, list) else []:
            data = output.get("data") if isinstance(output, dict) else None
            held = data.get(kind) if isinstance(data, dict) else None
            if isinstance(held, dict):
                yield held
