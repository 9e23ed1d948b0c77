"""Lessons as notebooks, from the first cell to the last with their solutions; one every time, all with `--whole`."""

from __future__ import annotations

import pytest

from tests.lessons.executing import execute
from tests.sampling import whole
from workbench.lessons.course import LESSONS
from workbench.lessons.questions import read_questions
from workbench.lessons.submissions import ANSWER

CASES = [one if one.key == "pruning" else pytest.param(one, marks=whole) for one in LESSONS]


@pytest.mark.slow
@pytest.mark.parametrize("lesson", CASES, ids=lambda one: one.name)
def test_a_lesson_runs_and_reveals_all_that_it_asks(lesson, tmp_path):
    made = execute(lesson, tmp_path)
    outputs = [output for cell in made.cells for output in cell.get("outputs", [])]
    assert not [output.text for output in outputs if output.output_type == "stream" and output.name == "stderr"]
    texts = [output.data.get("text/html", "") for output in outputs if "data" in output]
    held_by = (output.data[ANSWER] for output in outputs if ANSWER in output.get("data", {}))
    asked = {held["question"]: held for held in held_by}
    assert set(asked) == set(read_questions(lesson.key))
    assert all(held == {"question": key, "answer": None, "judged": "none"} for key, held in asked.items())
    assert sum("class='wbl-reveal" in text for text in texts) == len(asked)
    assert sum(len(text) for text in texts) < 100_000
