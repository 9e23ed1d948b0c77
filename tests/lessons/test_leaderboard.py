"""The class's table: recipes are run anew, ranked by the rule, and nothing that was handed in stops it."""

from __future__ import annotations

import csv
import json

import pytest

import workbench as wb
from tests.sampling import whole
from widgets.lesson import course_notebook
from workbench.cli.main import main
from workbench.errors import WorkbenchError
from workbench.lessons import leaderboard as board
from workbench.lessons.course import lesson
from workbench.lessons.source import cells, notebook
from workbench.lessons.submissions import RECIPE

SOURCE = """# %% setup
base = 1
# %% solution id=one
def one():
    ### BEGIN SOLUTION
    return base
    ### END SOLUTION
# %% test id=one points=1
assert one() == 1
"""
GOOD = wb.Recipe((wb.ShareWeights(bits=4), wb.EntropyCode()))
SMALL = wb.Recipe((wb.ShareWeights(bits=2),))
FOUND = {
    GOOD.key: {"bytes": 700, "lost": 0.2, "low": -0.1, "high": 0.5},
    SMALL.key: {"bytes": 300, "lost": 4.0, "low": 3.0, "high": 5.0},
}
OTHERS = {"validation": 0.1, "faster": 1.0, "verdict": "within noise"}


@pytest.fixture
def hand_in(tmp_path):
    """Return a function that hands in a notebook of the capstone with outputs of some facts."""
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / "capstone.py").write_text(SOURCE)

    def hand(learner, *facts, name="11-capstone.ipynb"):
        made = json.loads(notebook(lesson("capstone"), cells(SOURCE)))
        made["cells"][0]["outputs"] = [{"data": {RECIPE: one}} for one in facts]
        folder = tmp_path / "class" / learner
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(made))
        return tmp_path / "class"

    return hand


@pytest.fixture
def asked(monkeypatch):
    """The recipes that were run; what is measured of them is known."""
    ran = []

    def measure(recipe, rules):
        ran.append(recipe.key)
        return FOUND[recipe.key] | OTHERS if recipe.key in FOUND else "step 1 (prune): it cannot be"

    monkeypatch.setattr(board, "measure_apart", measure)
    return ran


def test_entries_stand_by_bytes_within_what_may_be_lost(hand_in, asked):
    hand_in("ada", GOOD.facts())
    hand_in("bob", SMALL.facts(), GOOD.facts())  # the last one counts
    hand_in("cyd", SMALL.facts())
    hand_in("cyd", GOOD.facts(), name="11-capstone (1).ipynb")
    hand_in("dan", SMALL.facts())
    hand_in("eve")
    hand_in("fay", {**GOOD.facts(), "steps": [{"kind": "import os"}]})
    folder = hand_in("hal", wb.Recipe((wb.Prune(layers="nothing"),)).facts())
    found = {one.learner: one for one in board.leaderboard(folder, board.Rules())}
    assert [(one, found[one].place) for one in ("ada", "bob", "cyd", "dan", "eve")] == [
        ("ada", 1), ("bob", 2), ("cyd", 3), ("dan", 0), ("eve", 0),
    ]  # fmt: skip
    assert found["dan"].said == "it loses 4.00 points, and 1 are allowed"
    assert "no recipe was handed in" in found["eve"].said
    assert "import os" in found["fay"].said
    assert found["hal"].said == "step 1 (prune): it cannot be"
    assert sorted(asked) == sorted({*FOUND, wb.Recipe((wb.Prune(layers="nothing"),)).key})  # each of them once
    assert list(found)[:3] == ["ada", "bob", "cyd"]


def test_a_place_that_other_images_may_take_away_is_told(hand_in, asked, monkeypatch):
    folder = hand_in("ada", GOOD.facts())
    (one,) = board.leaderboard(folder, board.Rules(lose=0.3))
    assert (one.place, one.said) == (1, "on other data it may lose more than 0.3")


def test_a_teacher_in_a_folder_is_not_read(hand_in, asked):
    facts = wb.Recipe((wb.PruneGradually(teacher="/etc", soft=0.5),)).facts()
    (one,) = board.leaderboard(hand_in("ada", facts), board.Rules())
    assert "its teacher is a folder" in one.said
    assert asked == []


def test_the_table_is_written_with_the_grades(hand_in, asked, tmp_path, capsys):
    hand_in("eve")
    folder = hand_in("=ada", GOOD.facts())
    table, sources = tmp_path / "board.csv", str(tmp_path / "sources")
    arguments = ["grade", str(folder), "--lessons", sources, "--out", str(tmp_path / "grades.csv"), "--quiet"]
    page = tmp_path / "class.html"
    assert main([*arguments, "--board", str(table), "--page", str(page)]) == 0
    assert "=ada" in page.read_text(encoding="utf-8")
    told = capsys.readouterr().out
    assert "0.20 [−0.10, 0.50]" in told
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["learner"], row["place"]) for row in rows] == [("'=ada", "1"), ("eve", "0")]
    assert main([*arguments, "--board", str(table), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["board"][1]["lost"] is None
    assert main([*arguments, "--board", str(tmp_path / "no" / "x.csv")]) == 1
    assert "no folder" in capsys.readouterr().err


def test_what_takes_too_long_is_ended(tmp_path):
    assert board.measure_apart(GOOD, board.Rules(seconds=0.2)) == "it took more than 0.2 s"
    with pytest.raises(WorkbenchError, match="from 0 to 100"):
        board.Rules(lose=101)
    with pytest.raises(WorkbenchError, match="no notebook of the capstone"):
        board.leaderboard(tmp_path, board.Rules())


@pytest.mark.slow
@whole
def test_a_recipe_is_measured_in_a_process_of_its_own():
    found = board.measure_apart(GOOD, board.Rules())
    assert 60_000 < found["bytes"] < 90_000
    assert found["low"] <= found["lost"] <= found["high"] < 2
    wrong = board.measure_apart(wb.Recipe((wb.Prune(layers="nothing"),)), board.Rules())
    assert "nothing" in wrong


def test_what_a_notebook_hands_in_is_the_recipe(monkeypatch, tmp_path):
    shown = []
    monkeypatch.setattr(course_notebook, "display", lambda data, **_: shown.append(data))
    course_notebook.CourseNotebook("capstone", folder=tmp_path).hand_in(GOOD)
    assert shown[-1][RECIPE] == GOOD.facts()
    assert "ShareWeights(bits=4)" in shown[-1]["text/html"] or "ShareWeights()" in shown[-1]["text/html"]
