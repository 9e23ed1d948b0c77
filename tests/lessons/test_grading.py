"""Grading learners' notebooks: points for what is right, and nothing that a learner wrote stops or fools it."""

from __future__ import annotations

import csv
import json
import time

import pytest

from workbench.cli.main import main
from workbench.lessons.course import lesson
from workbench.lessons.grading import ANSWER, Limits, run_apart
from workbench.lessons.source import cells, notebook

SOURCE = """# %% [markdown]
# # A lesson
# %% setup
base = 1
# %% solution id=double
def double(x):
    ### BEGIN SOLUTION
    return 2 * x
    ### END SOLUTION
# %% test id=double points=2
assert double(2) == 4, "double(2) is not 4"
### BEGIN HIDDEN TESTS
assert double(-1) == -2
### END HIDDEN TESTS
# %% wrong id=double says="not 4"
def double(x):
    return x
# %% solution id=triple
def triple(x):
    ### BEGIN SOLUTION
    return 3 * x
    ### END SOLUTION
# %% test id=triple points=3
assert triple(base) == 3, "triple(1) is not 3"
"""
RIGHT = {"double": "def double(x):\n    return x + x", "triple": "def triple(x):\n    return 3 * x"}


@pytest.fixture
def classroom(tmp_path):
    sources = tmp_path / "sources"
    sources.mkdir()
    (sources / "pruning.py").write_text(SOURCE)

    def hand_in(learner, written, change=None):
        made = json.loads(notebook(lesson("pruning"), cells(SOURCE)))
        for cell in made["cells"]:
            key = cell["metadata"].get("nbgrader", {}).get("grade_id")
            if key in written:
                cell["source"] = written[key]
        if change:
            change(made)
        folder = tmp_path / "class" / learner / "02-pruning"
        folder.mkdir(parents=True)
        (folder / "02-pruning.ipynb").write_text(json.dumps(made))

    def grades(*options):
        out = tmp_path / "grades.csv"
        arguments = ["grade", str(tmp_path / "class"), "--lessons", str(sources), "--out", str(out), "--quiet"]
        assert main([*arguments, *options]) == 0
        with out.open(newline="") as file:
            rows = list(csv.DictReader(file))
        return {(row["learner"], row["question"]): (int(row["points"]), row["said"]) for row in rows}

    return hand_in, grades


def test_a_class_is_graded(classroom, capsys):
    hand_in, grades = classroom

    def cheat(made):
        for cell in made["cells"]:
            if cell["metadata"].get("nbgrader", {}).get("grade"):
                cell["source"] = "pass"

    def predicted(made):
        made["cells"][0]["outputs"] = [{"data": {ANSWER: {"question": "half", "answer": "little"}}}]

    def without(made):
        made["cells"] = made["cells"][:2]

    hand_in("ada", RIGHT, predicted)
    hand_in("bob", {"double": "def double(x):\n    return x", "triple": RIGHT["triple"]})
    hand_in("cyd", {})
    hand_in("dan", {"double": "def double(x)\n    return x", "triple": "def triple(x):\n    return y"}, cheat)
    hand_in("eve", RIGHT, without)
    hand_in("=cmd", {**RIGHT, "double": "def double(x):\n    return abs(2 * x)"})
    found = grades()
    assert found["ada", "double"] == (2, "")
    assert found["ada", "triple"] == (3, "")
    assert found["ada", "half"] == (0, "half a point to 5 points")
    assert found["bob", "double"] == (0, "double(2) is not 4")
    assert found["bob", "triple"] == (3, "")
    assert found["cyd", "double"] == (0, "nothing was written yet")
    assert found["dan", "double"][0] == 0
    assert "SyntaxError" in found["dan", "double"][1]
    assert "NameError" in found["dan", "triple"][1]
    assert found["eve", "double"] == (0, "the cell is not there any more")
    assert found["'=cmd", "double"] == (0, "a test failed in line 3")
    assert "ada      02-pruning  5 of 5" in capsys.readouterr().out.replace("learner", "learner")


def test_nobody_stops_it(classroom, tmp_path):
    hand_in, grades = classroom
    marker = tmp_path / "marker"
    hand_in("loop", {**RIGHT, "double": "while True:\n    pass"})
    hand_in("memory", {**RIGHT, "double": "x = bytearray(1 << 40)"})
    hand_in("leaves", {**RIGHT, "double": "import os\nos._exit(3)"})
    hand_in("floods", {**RIGHT, "double": f"print('x' * 10**7)\n{RIGHT['double']}"})
    hand_in("exits", {**RIGHT, "double": f"{RIGHT['double']}\nraise SystemExit"})
    hand_in("secrets", {**RIGHT, "double": f"import os\nassert 'TOKEN' not in os.environ\n{RIGHT['double']}"})
    begins = f"import subprocess\nsubprocess.Popen(['sh', '-c', 'sleep 4; touch {marker}'])\n"
    hand_in("begins", {**RIGHT, "double": begins + RIGHT["double"]})
    found = grades("--seconds", "1")
    assert found["loop", "double"] == (0, "it took more than 1 s")
    assert found["loop", "triple"] == (3, "")
    assert found["memory", "double"] == (0, "it needs more memory than there is for it")
    assert found["leaves", "double"][0] == 0
    assert "ended" in found["leaves", "triple"][1]
    assert found["floods", "double"][0] == 2
    assert found["exits", "double"][0] == 2  # what it defined is right
    assert found["secrets", "double"][0] == 2
    time.sleep(4)
    assert not marker.exists()


def test_who_does_not_let_go_is_ended():
    stubborn = "import signal\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)\nwhile True:\n    pass"
    cell = {"kind": "solution", "key": "stubborn", "source": stubborn}
    start = time.monotonic()
    said = run_apart([cell], Limits(seconds=0.5, grace=1.0))
    assert time.monotonic() - start < 20
    assert said["", ""] in ("its limits ended the process", "it took too long, and did not let itself be stopped")


def test_there_has_to_be_something_to_grade(tmp_path, capsys):
    for folder, said in ((tmp_path / "none", "no folder"), (tmp_path, "no notebook of a lesson")):
        assert main(["grade", str(folder), "--quiet"]) == 1
        assert said in capsys.readouterr().err
