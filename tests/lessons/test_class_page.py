"""A class at a glance: the questions that most got wrong come first, and no text of a learner becomes markup."""

from __future__ import annotations

import pytest

from workbench.errors import WorkbenchError
from workbench.lessons.class_page import asked, class_page, write_page
from workbench.lessons.grading import Grade

GRADES = [
    Grade("ada", "02-pruning", "magnitude_mask", "code", 3, 3, ""),
    Grade("bob", "02-pruning", "magnitude_mask", "code", 0, 3, "<b>the wrong way round</b>"),
    Grade("cyd", "02-pruning", "magnitude_mask", "code", 0, 3, "nothing was written yet"),
    Grade("ada", "02-pruning", "half", "prediction", 0, 0, "half a point to 5 points", "wrong"),
    Grade("bob", "02-pruning", "half", "prediction", 0, 0, "half a point to 5 points", "wrong"),
    Grade("cyd", "02-pruning", "half", "prediction", 0, 0, ""),
    Grade("ada", "02-pruning", "curve", "prediction", 0, 0, "0: 98", "close"),
    Grade("bob", "02-pruning", "curve", "prediction", 0, 0, "0: 10", "wrong"),
    Grade("ada", "05-grids", "even", "prediction", 0, 0, "3 %", "right"),
    Grade("ada", "05-grids", "kmeans_round", "code", 3, 3, ""),
    Grade("<dan>", "", "", "notebook", 0, 0, "x.ipynb was not graded: it is damaged, and no JSON"),
]


def test_what_most_got_wrong_comes_first():
    first, second, last = asked(GRADES, "prediction")
    assert (first.key, first.wrong, first.said) == ("half", 1.0, (("half a point to 5 points", 2),))
    assert (second.key, second.wrong) == ("curve", 0.5)
    assert last.wrong == 0
    mask = asked(GRADES, "code")[0]
    assert mask.counts == {"right": 1, "wrong": 1, "": 1}  # nothing written yet is no mistake


def test_the_page_says_it_all_and_nothing_gets_out_of_it():
    page = class_page(GRADES)
    assert "<b>the wrong" not in page
    assert "&lt;dan&gt;" in page
    assert "3 of 3" in page
    assert "6 of 6" in page  # of ada, over both lessons
    assert "half a point to 5 points (2 ×)" in page
    assert page.count("http") == 0
    assert page.index("Half of all weights") < page.index("Sketch the accuracy")
    assert "Nowhere so far" in class_page(GRADES[:1])


def test_a_page_that_cannot_be_written_is_told(tmp_path):
    with pytest.raises(WorkbenchError, match="cannot be written"):
        write_page(tmp_path / "no" / "page.html", GRADES)
    write_page(tmp_path / "page.html", [Grade("\ud800", "02-pruning", "x", "code", 0, 1, "\ud800")])
