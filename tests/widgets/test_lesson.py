"""Predictions and tools of the course, without a page."""

from __future__ import annotations

import pytest
import torch
from IPython.core.interactiveshell import InteractiveShell

from widgets.lesson import CourseNotebook, Prediction
from widgets.lesson.answers import Answers
from widgets.lesson.course_notebook import revealed
from widgets.lesson.emphasis import emphasised, plain
from widgets.lesson.prediction import still
from widgets.lesson.short_errors import shorten_errors
from widgets.lesson.tools import HuffmanTool, LevelEditor, MaskTool, RankTool, TemperatureTool
from workbench.charts.predicted import drawn_curve
from workbench.errors import WorkbenchError
from workbench.lessons import Measured, judge
from workbench.lessons.questions import question, words

FACTS = {
    "kind": "choose", "ask": "<b>How?</b>", "right": "so",
    "choices": [{"key": "a", "text": "A <i>", "high": 1.0, "wrong": "no"}, {"key": "b", "text": "B", "low": 1.0}],
}  # fmt: skip
ASKED, WORDS = question("how", FACTS), words("en")
WEIGHT = torch.randn(20, 12, generator=torch.Generator().manual_seed(0))


def test_a_prediction_takes_answers_until_it_is_revealed():
    kept = []
    made = Prediction(ASKED, WORDS, None, kept.append)
    made.receive({"answer": "z"})
    assert made.answer is None
    made.receive({"answer": "a"})
    made.receive({"answer": None})  # to think again
    made.receive({"answer": "b"})
    assert kept == ["a", None, "b"]
    made.reveal(judge(ASKED, "b", Measured(0.5, 0.4, 0.6, "0.5")))
    assert made.judged["word"] == "wrong"
    made.receive({"answer": "a"})
    assert made.answer == "b"


def test_a_page_is_not_told_the_answers():
    told = str(Prediction(ASKED, WORDS).facts)
    assert "wrong" not in told
    assert "high': 1.0" not in told


def test_the_plain_form_says_it_all_and_nothing_gets_out_of_it():
    shown = still(ASKED, "a", WORDS)
    assert "&lt;b&gt;How?&lt;/b&gt;" in shown
    assert "You said: <b>A &lt;i&gt;</b>" in shown
    told = revealed(ASKED, "a", judge(ASKED, "a", Measured(2.0, 1.9, 2.1, "<2>")), WORDS)
    assert "&lt;2&gt;" in told
    assert "Not so" in told


def test_answers_are_kept_beside_the_notebook(tmp_path):
    held = Answers("x", tmp_path / "in" / "side")
    held.keep("how", "a")
    held.keep("many", 3)
    held.keep("how", None)
    assert Answers("x", tmp_path / "in" / "side").get("many") == 3
    assert Answers("x", tmp_path / "in" / "side").get("how") is None
    held.path.write_text("{")
    assert Answers("x", tmp_path / "in" / "side").get("many") is None


def test_a_notebook_asks_what_its_lesson_asks(tmp_path):
    made = CourseNotebook("pruning", folder=tmp_path)
    with pytest.raises(WorkbenchError, match="asks no 'what'"):
        made.predict("what")
    made.predict("half")
    made.reveal("half", Measured(2.0, 1.5, 2.5, "2"))
    with pytest.raises(WorkbenchError, match="no lesson"):
        CourseNotebook("nothing", folder=tmp_path)


def test_levels_that_k_means_finds_are_better_than_an_even_grid_and_none_is_lost():
    editor = LevelEditor(WEIGHT, "w", 4)
    assert editor.error(editor.kmeans_places(4)) < editor.error(editor.even_places(4))
    before = editor.error(editor.places)
    editor.fields.children[0].value = 0.0
    assert editor.places[0] == 0.0
    assert editor.error(editor.places) != before
    editor.number.value = 6
    assert len(editor.places) == len(editor.fields.children) == 6
    assert "k-means" not in editor.read.value
    editor.means.value = True
    assert "k-means" in editor.read.value


def test_tools_follow_their_sliders():
    mask = MaskTool(WEIGHT, "w")
    mask.count.value = 25
    assert mask.table.value.count("becomes zero") == 25
    rank = RankTool(WEIGHT, "w")
    rank.rank.value = 12
    assert "100.0 %" in rank.read.value
    warm = TemperatureTool(torch.tensor([0.0, 3.0, 1.0]), list("abc"), "one")
    before = warm.read.value
    warm.temperature.value = 10.0
    assert warm.read.value != before
    tree = HuffmanTool({"a": 4, "b": 2, "c": 1, "d": 1}, "letters")
    assert len(tree.chart.nodes.data["x"]) == 4
    tree.joins.value = 3
    assert len(tree.chart.nodes.data["x"]) == 7
    assert "1.750 bits" in tree.read.value
    assert "1.750 bits" in tree.still()


def test_what_a_test_says_is_told_without_its_traceback(capsys):
    shell = InteractiveShell()
    shorten_errors("write it", shell)
    told = []
    shell._showtraceback = lambda kind, said, lines: told.append((kind.__name__, lines))
    shell.run_cell("assert 1 == 2, 'one is not two'")
    shell.run_cell("raise NotImplementedError")
    shell.run_cell("assert 1 == 2")
    shell.run_cell("1 / 0")
    assert told[:2] == [("AssertionError", ["✗ one is not two"]), ("NotImplementedError", ["✗ write it"])]
    assert [kind for kind, _ in told[2:]] == ["AssertionError", "ZeroDivisionError"]  # with where it was
    assert all(len(lines) > 1 for _, lines in told[2:])


def test_what_matters_in_a_text_is_emphasised_and_nothing_else():
    assert emphasised("inputs *and* <outputs>") == "inputs <em>and</em> &lt;outputs&gt;"
    assert emphasised("2 * 3 * 4 and 2**bits") == "2 * 3 * 4 and 2**bits"
    assert plain("inputs *and* outputs") == "inputs and outputs"


def test_a_curve_is_shown_as_it_was_sketched():
    known = [Measured(1.0, 1.0, 1.0, "1")] * 3
    bits = drawn_curve((8, 4, 2), None, [one.value for one in known], [(1.0, 1.0)] * 3, ("bits", "accuracy"))
    assert bits.x_range.flipped
    assert not drawn_curve((0, 1), None, [1.0, 2.0], [(1.0, 1.0)] * 2, ("x", "y")).x_range.flipped
