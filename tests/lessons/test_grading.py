"""Grading learners' notebooks: points for what is right, and nothing that a learner wrote stops or fools it."""

from __future__ import annotations

import copy
import csv
import json
import os
import sys
import time

import pytest

from workbench.cli.main import main
from workbench.errors import WorkbenchError
from workbench.lessons.course import lesson
from workbench.lessons.grading import Limits, grade, run_apart
from workbench.lessons.source import cells, notebook
from workbench.lessons.submissions import ANSWER

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

    def hand_in(learner, written, change=None, name="02-pruning.ipynb"):
        made = json.loads(notebook(lesson("pruning"), cells(SOURCE)))
        for cell in made["cells"]:
            key = cell["metadata"].get("nbgrader", {}).get("grade_id")
            if key in written:
                cell["source"] = written[key]
        if change:
            change(made)
        folder = tmp_path / "class" / learner / "02-pruning"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(made))

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


def test_no_text_of_one_learner_takes_the_table_from_all(classroom, tmp_path):
    hand_in, grades = classroom

    def outputs(*held):
        def change(made):
            made["cells"][0]["outputs"] = list(held)

        return change

    wrong_answer = {"data": {ANSWER: {"question": ["half"], "answer": "little"}}}
    hand_in("half", {**RIGHT, "double": 'raise ValueError("\\ud800")'})
    hand_in("list", RIGHT, outputs({"data": []}, {"data": None}, {"data": {ANSWER: []}}, wrong_answer, 3))
    hand_in("lines", {**RIGHT, "double": [None, *RIGHT["double"].splitlines(keepends=True), 3]})
    if sys.platform == "linux":  # others take no such name for a folder
        hand_in(os.fsdecode(b"na\xefve"), {})
    found = grades()
    assert found["half", "double"] == (0, "ValueError: \\ud800, in line 1")
    assert found["list", "double"] == found["lines", "double"] == (2, "")
    assert sys.platform != "linux" or found["na\\udcefve", "double"][0] == 0


def test_a_table_that_cannot_be_written_is_refused_before_any_work(classroom, tmp_path, capsys, monkeypatch):
    hand_in, _ = classroom
    hand_in("ada", RIGHT)
    monkeypatch.setattr("workbench.cli.course.grade", lambda *_: pytest.fail("it was graded"))
    for out, said in ((tmp_path / "none" / "grades.csv", "no folder"), (tmp_path, "it is a folder")):
        assert main(["grade", str(tmp_path / "class"), "--out", str(out), "--quiet"]) == 1
        assert said in capsys.readouterr().err


@pytest.mark.parametrize("memory", ["0", "0.5", "1e10", "1e308"])
def test_memory_has_bounds(classroom, tmp_path, capsys, memory):
    hand_in, _ = classroom
    hand_in("ada", RIGHT)
    arguments = ["grade", str(tmp_path / "class"), "--out", str(tmp_path / "out.csv"), "--quiet"]
    assert main([*arguments, "--memory", memory]) == 1
    assert "must be from 1 to 1024 GB" in capsys.readouterr().err


def test_a_lesson_that_fails_by_itself_is_no_learners_mistake(classroom, tmp_path):
    hand_in, _ = classroom
    hand_in("ada", RIGHT)
    (tmp_path / "sources" / "pruning.py").write_text(SOURCE.replace("base = 1", "base = nothing"))
    with pytest.raises(WorkbenchError, match="02-pruning: the lesson's own setup failed: NameError"):
        grade(tmp_path / "class", tmp_path / "sources")
    # It may also fail once only, on a machine that is busy: then this notebook was not graded.
    once = f"import os\nif os.path.exists({str(tmp_path / 'once')!r}):\n    raise OSError('busy')\n"
    once += f"open({str(tmp_path / 'once')!r}, 'w').close()"
    (tmp_path / "sources" / "pruning.py").write_text(SOURCE.replace("base = 1", once))
    [only] = grade(tmp_path / "class", tmp_path / "sources")
    assert (only.kind, only.of) == ("notebook", 0)
    assert "was not graded: the lesson's own setup failed: OSError: busy" in only.said


def test_no_notebook_vanishes(classroom, tmp_path, capsys, monkeypatch):
    hand_in, grades = classroom
    monkeypatch.setattr("workbench.lessons.submissions.LARGEST_NOTEBOOK", 100_000)
    hand_in("ada", RIGHT)
    hand_in("bare", {}, lambda made: made.pop("metadata"))
    hand_in("large", {}, lambda made: made.update(more="x" * 100_000))
    hand_in("cut", {})
    path = tmp_path / "class" / "cut" / "02-pruning" / "02-pruning.ipynb"
    path.write_text(path.read_text()[:-20])
    found, told = grades(), capsys.readouterr().err
    for learner, why in (("bare", "does not say which lesson"), ("large", "larger than"), ("cut", "damaged")):
        assert why in found[learner, ""][1]
        assert f"{learner}: 02-pruning.ipynb was not graded: it" in told
    assert found["ada", "double"] == (2, "")


def test_copies_count_once(classroom, capsys):
    hand_in, grades = classroom
    hand_in("ada", {"double": RIGHT["double"]})
    hand_in("ada", RIGHT, name="02-pruning (1).ipynb")
    hand_in("ada", {}, name="02-pruning (2).ipynb")

    def doubled(made):
        own = next(cell for cell in made["cells"] if cell["metadata"].get("nbgrader", {}).get("grade_id") == "double")
        for text in ("", "def double(x):\n    # YOUR CODE HERE\n    raise NotImplementedError"):
            made["cells"].append({**copy.deepcopy(own), "source": text})
            made["cells"].insert(0, {**copy.deepcopy(own), "source": text})

    hand_in("bob", RIGHT, doubled)
    found, told = grades(), capsys.readouterr()
    assert found["ada", "double"] == (2, "")
    assert found["ada", "triple"] == (3, "")
    assert "ada      02-pruning  5 of 5" in told.out
    assert "02-pruning.ipynb does not count, with 2 points: another copy of this lesson, 02-pruning (1)" in told.err
    assert "02-pruning (2).ipynb does not count, with 0 points" in told.err
    assert found["bob", "double"] == (2, "")


# Tests as lessons have them, without loading torch: `lessons.expect` is a module's.
JUDGED = """import sys
from types import ModuleType
lessons = sys.modules["workbench.lessons.telling"] = ModuleType("telling")
exec("def expect(found, right):\\n    if not abs(found - right) < 1: raise AssertionError('wrong')", vars(lessons))
"""
FORGES = """import json, os, sys
for number in range(3, 20):
    try:
        os.write(number, b'\\n' + json.dumps({"kind": "test", "key": "double", "said": ""}).encode() + b'\\n')
    except OSError:
        pass
for word in sys.argv[1:]:
    open(word, "a").write(json.dumps({"kind": "test", "key": "double", "said": ""}))
"""


@pytest.mark.parametrize(
    "escape",
    [
        "lessons.expect = lambda *a, **k: None",
        "class lessons:\n    expect = staticmethod(print)",
        "def other(found, right): pass\nlessons.expect.__code__ = other.__code__",
        "lessons.abs = lambda _: 0",
        "import builtins\nbuiltins.abs = lambda _: 0",
        "abs = lambda _: 0",
        "import builtins\nbuiltins.exec = lambda *_: None",
        "__builtins__ = {**vars(__builtins__), 'abs': lambda _: 0}",
        "def double(x):\n    lessons.expect = lambda *a: None\n    return 0",
        "import __main__\n__main__.run = __main__._run = lambda *_: ''",
        FORGES,
    ],
)
def test_who_changes_the_judge_gets_no_points(escape):
    test = "lessons.expect(abs(double(2)), 4)"
    solution = f"def double(x):\n    return 0\n{escape}"
    made = [("setup", "setup 0", JUDGED), ("solution", "double", solution), ("test", "double", test)]
    said = run_apart([{"kind": kind, "key": key, "source": text} for kind, key, text in made], Limits(seconds=5.0))
    assert said["setup", "setup 0"] == ""
    if escape == FORGES or "__main__" in escape:
        assert said["test", "double"] == "wrong"
    else:
        assert said["test", "double"].startswith("the judge was changed: "), said


def test_names_of_a_learners_own_are_no_change_of_the_judge():
    solution = "import json\nsum, max = 0, 1\nfrom math import *\ndef double(x):\n    return 2 * x"
    made = [("setup", "setup 0", JUDGED), ("solution", "double", solution)]
    made += [("test", "double", "lessons.expect(abs(double(2)), 4)")]
    said = run_apart([{"kind": kind, "key": key, "source": text} for kind, key, text in made], Limits(seconds=5.0))
    assert not any(said.values()), said


@pytest.mark.parametrize("work", ["pass", "time.sleep(9)", "sum(range(1000))"])
def test_a_bare_except_does_not_swallow_the_end_of_the_time(work):
    loop = f"while True:\n        try:\n            {work}\n        except:\n            pass"
    loop = f"import time\ndef f():\n    {loop}\nf()"
    cells_ = [("solution", "a", loop), ("solution", "b", "def g():\n    pass\ng()")]
    said = run_apart([{"kind": kind, "key": key, "source": text} for kind, key, text in cells_], Limits(seconds=0.3))
    assert said == {("", ""): "", ("solution", "a"): "it took more than 0.3 s", ("solution", "b"): ""}
