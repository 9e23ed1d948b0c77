"""From a step to its lesson and back: every step has one or says none, and what links lead to is there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from widgets.forms import Form
from widgets.lesson import course_notebook
from widgets.lesson_link import LessonLink
from workbench.errors import WorkbenchError
from workbench.lessons import course
from workbench.lessons.course import LESSONS, find_notebook, lesson_of
from workbench.lessons.page import lesson_page
from workbench.steps import KINDS

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"\]\(([^)#]+)")


def test_a_step_is_in_one_lesson_at_most():
    """A new one need not have any: its Explain then leads nowhere."""
    taught = [kind for one in LESSONS for kind in one.kinds]
    assert len(taught) == len(set(taught))
    assert set(taught) <= set(KINDS)


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda one: one.name)
def test_a_lesson_leads_to_the_panel_and_to_its_methods(lesson, monkeypatch, tmp_path):
    path = ROOT / "notebooks" / "lessons" / f"{lesson.name}.ipynb"
    text = "".join("".join(cell["source"]) for cell in json.loads(path.read_text())["cells"])
    targets = LINK.findall(text)
    assert "../workbench.ipynb" in targets
    assert all((path.parent / target).is_file() for target in targets)
    shown = []
    monkeypatch.setattr(course_notebook, "display", shown.append)
    course_notebook.CourseNotebook(lesson.key, folder=tmp_path)
    head = next(one.data for one in shown if "wbl-head" in str(getattr(one, "data", "")))
    assert all(f"<b>{KINDS[kind].title}</b>" in head for kind in lesson.kinds)
    assert any(isinstance(one, LessonLink) and one.path.endswith("workbench.ipynb") for one in shown)
    (row,) = (
        line
        for line in (ROOT / "docs" / "course.md").read_text().splitlines()
        if line.startswith(f"| {lesson.number} ")
    )
    assert set(re.findall(r"methods/(\w+)\.md", row)) == set(lesson.kinds)


def test_explain_leads_to_the_lesson(monkeypatch):
    (link,) = (one for one in Form(KINDS["quantize"], lambda: None).about.children if isinstance(one, LessonLink))
    assert link.label == "Lesson 5 of the course: Grids"
    assert Path(link.path) == ROOT / "notebooks" / "lessons" / "05-grids.ipynb"
    monkeypatch.setattr(course, "LESSONS", ())
    assert len(Form(KINDS["quantize"], lambda: None).about.children) == 1


def test_a_copy_of_the_learners_own_comes_first(tmp_path):
    assert find_notebook("nothing", tmp_path) is None
    (tmp_path / "lessons").mkdir()
    (tmp_path / "lessons" / "05-grids.ipynb").write_text("{}")
    assert find_notebook("05-grids", tmp_path) == tmp_path / "lessons" / "05-grids.ipynb"
    assert find_notebook("02-pruning", tmp_path) == ROOT / "notebooks" / "lessons" / "02-pruning.ipynb"


def test_a_lesson_can_be_read_without_a_notebook(monkeypatch, tmp_path):
    found = lesson_of("quantize")
    link, sent = LessonLink("<x>", found), []
    monkeypatch.setattr(link, "send", sent.append)
    link.receive({"read": False})
    link.receive({"read": True})
    (message,) = sent
    assert "<title>5. Grids</title>" in message["page"]
    assert "Predict:" in message["page"]
    assert "default-src 'none'" in message["page"].partition("<body>")[0], "no script of a notebook runs there"
    assert "http:" not in message["page"].partition("<body>")[0]
    damaged = tmp_path / "05-grids.ipynb"
    damaged.write_text('{"cells": 3}')
    with pytest.raises(WorkbenchError, match="cannot be read"):
        lesson_page(found, damaged)
    link._path = damaged
    link.receive({"read": True})
    assert "05-grids.ipynb cannot be read" in sent[-1]["failed"]
