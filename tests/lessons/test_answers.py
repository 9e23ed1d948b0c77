"""Every question that is answered in code: a right answer passes, plausible wrong ones hear what is wrong."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from workbench.lessons.course import LESSONS
from workbench.lessons.questions import TEXTS, read_questions
from workbench.lessons.runner import run
from workbench.lessons.source import Cell, notebook, read, without_answers

ROOT = Path(__file__).parents[2]
SOURCES = {one: ROOT / "lessons" / f"{one.key}.py" for one in LESSONS}
SECONDS = 20


def judged(cell: Cell, source: tuple[Cell, ...], space: dict) -> str:
    """Return what the tests say of an answer; names that the answer defines do not stay."""
    own = dict(space)
    said = run({"kind": "solution", "key": cell.key, "source": cell.source}, own, SECONDS)
    for test in (one for one in source if one.kind == "test" and one.key == cell.key):
        said = run({"kind": "test", "key": test.key, "source": test.source}, own, SECONDS) or said
    return said


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda one: one.name)
def test_answers_are_judged_as_intended(lesson, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    source, space = read(SOURCES[lesson]), {"__name__": "__main__"}
    solved = 0
    for cell in source:
        if cell.kind == "setup":
            assert run({"kind": "setup", "key": "", "source": cell.source}, space, 120) == ""
        elif cell.kind == "solution":
            empty = Cell("solution", without_answers(cell.source), cell.key)
            assert judged(empty, source, space) == "nothing was written yet"
            wrong = [one for one in source if one.kind == "wrong" and one.key == cell.key]
            assert wrong, f"no wrong answer to {cell.key}"
            for one in wrong:
                assert one.says in judged(one, source, space), one.source
            assert judged(cell, source, space) == ""
            run({"kind": "solution", "key": cell.key, "source": cell.source}, space, SECONDS)  # for those after
            solved += 1
    assert solved >= 1


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda one: one.name)
def test_the_learners_notebook_is_made_of_the_source(lesson):
    made = notebook(lesson, read(SOURCES[lesson]))
    stored = ROOT / "notebooks" / "lessons" / f"{lesson.name}.ipynb"
    assert stored.read_text(encoding="utf-8") == made, "run `make notebooks`"
    assert "BEGIN SOLUTION" not in made
    assert "BEGIN HIDDEN" not in made


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda one: one.name)
def test_what_is_asked_is_revealed(lesson):
    text = SOURCES[lesson].read_text(encoding="utf-8")
    for key, question in read_questions(lesson.key).items():
        assert f'predict("{key}")' in text
        assert f'reveal("{key}"' in "".join(text.replace("reveal(\n", "reveal(").split("    "))
        assert question.right
        assert all(choice.wrong for choice in question.choices)
        assert question.kind == "choose" or question.mistakes


def test_a_translated_lesson_asks_and_judges_as_the_original_does():
    (where,) = (one for one in LESSONS if one.key == "where")
    source = read(ROOT / "lessons" / "zh" / "where.py")
    kinds = [(cell.kind, cell.key) for cell in source]
    assert kinds == [(cell.kind, cell.key) for cell in read(SOURCES[where])]
    # What is run is the same, line by line, but for the language that is asked for.
    ran = [[cell.source.replace('("where", "zh")', '("where")') for cell in cells if cell.kind != "markdown"]
           for cells in (source, read(SOURCES[where]))]  # fmt: skip
    assert ran[0] == ran[1]
    stored = ROOT / "notebooks" / "lessons" / "zh" / f"{where.name}.ipynb"
    assert stored.read_text(encoding="utf-8") == notebook(where, source, language="zh"), "run `make notebooks`"
    translated, original = read_questions("where", "zh"), read_questions("where")
    assert list(translated) == list(original)
    for key, question in translated.items():
        other = original[key]
        assert (question.kind, question.low, question.high, question.slack) == (
            other.kind, other.low, other.high, other.slack,
        )  # fmt: skip
        assert [choice.key for choice in question.choices] == [choice.key for choice in other.choices]
        assert [one.when for one in question.mistakes] == [one.when for one in other.mistakes]
    assert set(tomllib.loads((TEXTS / "zh" / "_words.toml").read_text(encoding="utf-8"))) == set(
        tomllib.loads((TEXTS / "en" / "_words.toml").read_text(encoding="utf-8"))
    )
