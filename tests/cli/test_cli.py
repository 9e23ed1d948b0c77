"""The command line, as it is called: what goes to stdout, what to stderr, and the exit codes."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

import workbench as wb
from tests.cli.conftest import RECIPE, SUBJECT
from tests.subjects import vector_splits
from workbench.cli import lab
from workbench.cli.console import ProgressLine, table
from workbench.cli.main import main
from workbench.jobs.progress import Tick
from workbench.search.sensitivity import Table
from workbench.steps import KINDS


def call(capsys, *arguments):
    code = main(list(arguments))
    out, err = capsys.readouterr()
    return code, out, err


def test_inspect_shows_layers_and_groups_with_reasons(place, capsys):
    code, out, err = call(capsys, "inspect", *SUBJECT, "--quiet")
    assert (code, err) == (0, "")
    assert "12 × 16" in out
    assert "can be cut" in out
    assert "must stay: reaches the model's output" in out
    assert "modelled" not in out
    assert not (place / ".workbench").exists()


def test_inspect_as_json_with_a_measurement(place, capsys):
    code, out, _ = call(capsys, "inspect", *SUBJECT, "--json", "--measure", "--batch", "4", "--name", "mine")
    facts = json.loads(out)
    assert code == 0
    assert facts["subject"] == {"name": "mine", "source": "nets.py:net"}
    assert [layer["name"] for layer in facts["layers"]] == ["1", "3"]
    assert {group["name"]: group["units"] for group in facts["groups"]} == {"1": 12, "3": 3}
    found = wb.Measurement.read(facts["measurement"])
    assert (found.score.total, found.latency["eager"].batch) == (60, 4)


def test_search_exports_what_meets_the_goal(place, capsys):
    goal = ["--lose", "50", "--seconds", "3", "--latency-seconds", "0", "--forbid", "distill,train_*,prune_channels"]
    arguments = ["search", *SUBJECT, *goal, "--quiet"]
    code, out, err = call(capsys, *arguments, "--out", "out", "--formats", "safetensors")
    assert (code, err) == (0, "")
    assert "lose at most 50 points, make the file least" in out
    assert "Winner:" in out
    assert "looked at on 60 of 60 validation samples" in out
    recipe = wb.Recipe.load(place / "out" / "recipe.json")
    assert recipe.steps
    code, out, _ = call(capsys, *arguments, "--json")
    facts = json.loads(out)
    assert facts["known"] > 0, "the second search goes on from the first"
    assert facts["recipe"]["steps"]
    assert (facts["goal"]["lose"], facts["goal"]["least"]) == (50.0, ["bytes"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--least", "beauty"], "least names 'beauty'"),
        (["--most", "bytes=many"], "the limit of bytes is a number"),
        (["--most", "beauty=1"], "most names 'beauty'"),
        (["--methods", "levitate"], "cannot take levitate"),
        (["--improve", "nothing.json"], "cannot be read as a recipe"),
    ],
)
def test_a_search_that_makes_no_sense_is_refused_in_one_line(place, capsys, arguments, said):
    code, out, err = call(capsys, "search", *SUBJECT, *arguments, "--quiet")
    assert (code, out) == (1, "")
    assert said in err
    assert err.count("\n") == 1


def test_scan_prints_changes(place, capsys):
    arguments = ["scan", *SUBJECT, "--step", "prune", "--set", "ranking=global", "--amounts", "0.3,0.9"]
    code, out, _ = call(capsys, *arguments)
    assert code == 0
    assert "points" in out
    code, out, _ = call(capsys, *arguments, "--json", "--tolerance", "0")
    found = Table.read(json.loads(out))
    assert found.strengths == (0.3, 0.9)
    assert found.step["ranking"] == "global"
    assert all(point.score.exact for point in found.points)


def test_scan_tells_why_a_part_cannot_be_done(place, capsys):
    code, out, _ = call(capsys, "scan", *SUBJECT, "--step", "prune_channels", "--amounts", "0.5")
    assert code == 0
    assert "3: reaches the model's output" in out


def test_run_exports_what_it_says(place, capsys):
    subject = ["--subject", *SUBJECT]
    arguments = ["run", *subject, "--recipe", "recipe.json", "--out", "out", "--formats", "safetensors", "--scan"]
    code, out, _ = call(capsys, *arguments, "--json")
    facts = json.loads(out)
    assert code == 0
    assert facts["recipe"] == RECIPE.facts()
    assert facts["folder"] == "out"
    assert facts["report"] is None
    after = wb.Measurement.read(facts["current"])
    assert (place / "out" / "model.safetensors").stat().st_size == after.bytes.total
    assert wb.load_model("out")(
        *wb.load("out", validation="data.npz", mean=(0.5,), std=(0.25,)).task.example(3)
    ).shape == (3, 3)
    code, out, _ = call(capsys, *arguments, "--seed", "7")
    assert code == 0
    assert "written: out" in out
    assert wb.Recipe.load("out/recipe.json").seed == 7


def test_steps_are_listed_from_their_declarations(capsys):
    code, out, _ = call(capsys, "steps", "--json")
    facts = json.loads(out)
    assert code == 0
    assert list(facts) == list(KINDS)
    for kind, step in KINDS.items():
        assert [option["name"] for option in facts[kind]["options"]] == [option.name for option in step.options()]
    _, text, _ = call(capsys, "steps")
    assert all(f"  {kind} " in text for kind in KINDS)
    assert max(map(len, text.splitlines())) <= 120
    for kind, step in KINDS.items():
        _, text, _ = call(capsys, "steps", kind)
        assert max(map(len, text.splitlines())) <= 120
        words = " ".join(text.split())
        assert step.summary in words
        assert all(option.help in words for option in step.options())
    code, _, err = call(capsys, "steps", "prun")
    assert code == 1
    assert "no step is called prun" in err
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("workbench ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["inspect", "digits-vgg"], "'digits-vgg' is not known; known are digits-resnet"),
        (["inspect", "nets.py:net"], "there is no data to judge the model by"),
        (["inspect", "nets.py:net", "--validation", "none.npz"], "none.npz is missing"),
        (["inspect", *SUBJECT, "--checkpoint", "w.pt"], "there is no checkpoint w.pt"),
        (["inspect", *SUBJECT, "--classes", "a,b"], "label 2 has no name"),
        (
            ["scan", *SUBJECT, "--step", "prune", "--set", "amuont=1"],
            "Prune weights has no field amuont; it has layers",
        ),
        (["scan", *SUBJECT, "--step", "quantize", "--set", "symmetric=perhaps"], "symmetric must be true or false"),
        (["scan", *SUBJECT, "--step", "quantize", "--set", "bits=four"], "bits must be a whole number, not 'four'"),
        (["scan", *SUBJECT, "--step", "prune", "--amounts", "2"], "amount must be at most 1"),
        (["scan", *SUBJECT, "--step", "prune", "--set", "layers=x"], "no layer matches 'x'"),
        (["run", "--subject", *SUBJECT, "--recipe", "none.json"], "none.json cannot be read as a recipe"),
        (["run", "--recipe", "none.json"], "name one subject"),
        (["run", "--subject", *SUBJECT, "--recipe", "recipe.json", "--out", "."], "in use by something else"),
    ],
)
def test_what_is_refused_is_one_line_on_stderr(place, capsys, arguments, said):
    code, out, err = call(capsys, *arguments, "--quiet")
    assert (code, out) == (1, "")
    assert err.startswith("workbench: error: ")
    assert err.count("\n") == 1
    assert said in err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["prune"],
        ["inspect"],
        ["inspect", "x", "--no-such-option"],
        ["inspect", "x", "--mean", "a,b"],
        ["inspect", "x", "--batch", "0"],
        ["inspect", "x", "--tolerance", "-1"],
        ["inspect", "x", "--tolerance", "nan"],
        ["scan", "digits-resnet", "--step", "nope"],
        ["scan", "digits-resnet", "--step", "fine_tune"],
        ["scan", "x", "--step", "prune", "--set", "amount"],
        ["lab", "--port", "99999"],
    ],
)
def test_wrong_usage_ends_with_two(capsys, arguments):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: workbench" in capsys.readouterr().err


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt(), 130), (ZeroDivisionError("defect"), 3)])
def test_interrupts_and_defects_have_their_codes(place, capsys, monkeypatch, error, code):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("workbench.cli.commands.load", fail)
    assert main(["inspect", "digits-transformer"]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert ("Traceback" in err and "ZeroDivisionError: defect" in err) == (code == 3)


def test_the_help_names_the_exit_codes(capsys):
    for arguments in (["--help"], ["run", "--help"]):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 0
        assert "130  interrupted" in capsys.readouterr().out


def test_it_runs_as_a_module_and_a_reader_may_leave_early():
    root = Path(wb.__file__).parents[1]
    whole = subprocess.run(
        [sys.executable, "-m", "workbench", "steps", "--json"], cwd=root, capture_output=True, text=True, check=True
    )
    assert json.loads(whole.stdout)
    process = subprocess.Popen(
        [sys.executable, "-m", "workbench", "steps"], cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.close()
    assert b"Traceback" not in process.stderr.read()
    process.stderr.close()
    assert process.wait(30) == 0


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_is_one_line_on_a_terminal(monkeypatch):
    monkeypatch.setattr("workbench.cli.console.FRESH_SECONDS", 0.0)
    stream = Terminal()
    line = ProgressLine(stream)
    line(Tick(0.5, "a long message", 65.0))
    line(Tick(0.75, "short"))
    assert "\n" not in stream.getvalue()
    assert stream.getvalue().split("\r")[1:] == [
        " 50% a long message, 1 min 5 s left",
        " 75% short".ljust(len(" 50% a long message, 1 min 5 s left")),
    ]
    line.clear()
    assert stream.getvalue().endswith("\r" + " " * len(" 75% short") + "\r") or stream.getvalue().endswith("\r")


def test_progress_is_sparse_elsewhere_and_absent_when_quiet():
    stream, quiet = io.StringIO(), Terminal()
    line, none = ProgressLine(stream), ProgressLine(quiet, quiet=True)
    for number in range(100):
        line(Tick(number / 100, "work"))
        none(Tick(number / 100, "work"))
    line.clear()
    assert stream.getvalue() == "  0% work\n"
    assert quiet.getvalue() == ""


def test_tables_are_aligned():
    assert table(("a", "n"), [("long", "1"), ("b", "100")], right=(1,)).splitlines() == [
        "a       n",
        "────  ───",
        "long    1",
        "b     100",
    ]


@pytest.fixture
def launched(monkeypatch):
    calls = []
    monkeypatch.setattr("jupyterlab.labapp.LabApp.launch_instance", calls.append)
    return calls


def package(tmp_path, *notebooks):
    for path in notebooks:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("{}")
    (tmp_path / "site" / "workbench").mkdir(parents=True, exist_ok=True)
    return tmp_path / "site" / "workbench"


def test_lab_opens_the_checkouts_notebook(tmp_path, launched, monkeypatch):
    own = package(tmp_path, "site/notebooks/workbench.ipynb", "site/workbench/notebooks/workbench.ipynb")
    monkeypatch.setattr(lab, "PACKAGE", own)
    assert main(["lab", "--port", "8899", "--no-browser", "--ServerApp.token=x"]) == 0
    notebook = str(tmp_path / "site" / "notebooks" / "workbench.ipynb")
    assert launched == [[notebook, "--ServerApp.port=8899", "--no-browser", "--ServerApp.token=x"]]


def test_lab_puts_a_copy_of_the_packaged_notebook_here_once(tmp_path, launched, monkeypatch, capsys):
    own = package(tmp_path, "site/workbench/notebooks/workbench.ipynb")
    (tmp_path / "here").mkdir()
    monkeypatch.setattr(lab, "PACKAGE", own)
    monkeypatch.chdir(tmp_path / "here")
    assert main(["lab"]) == 0
    copy = tmp_path / "here" / "workbench.ipynb"
    assert launched == [[str(copy)]]
    copy.write_text("my own work")
    assert main(["lab"]) == 0
    assert copy.read_text() == "my own work"


def test_lab_without_a_notebook_says_so(tmp_path, launched, monkeypatch, capsys):
    monkeypatch.setattr(lab, "PACKAGE", package(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert main(["lab"]) == 1
    assert "the notebook cannot be put into" in capsys.readouterr().err
    assert launched == []


def test_the_data_of_the_tests_is_the_same_every_time():
    assert all(one[0].equal(other[0]) for one, other in zip(vector_splits(), vector_splits(), strict=True))
