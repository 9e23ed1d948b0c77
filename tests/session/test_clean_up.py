"""Cleaning up: caches and leftovers go when they are old, people's work stays."""

from __future__ import annotations

import json
import os

import pytest

import workbench as wb
from workbench.checkpoint.folders import replaced
from workbench.cli.main import main
from workbench.errors import WorkbenchError
from workbench.session.clean_up import LEFT, SCANS, SESSIONS, removable, remove, total


@pytest.fixture
def used(images, tmp_path):
    """A folder in which somebody scanned, saved, exported, and was killed."""
    quick = wb.Settings(seconds=0.0, runtimes=("eager",))
    session = wb.Session(images, quick, threaded=False, autosave=tmp_path / ".workbench")
    session.sensitivity(wb.Prune(layers="conv1"), (0.5,), tolerance=0.1)
    session.apply(wb.Prune())
    session.export(tmp_path / "out", ("safetensors",))
    session.close()
    (tmp_path / f".out.half-{'a' * 32}").mkdir()
    (tmp_path / f".gone.before-{'b' * 32}").mkdir()
    (tmp_path / f".gone.before-{'b' * 32}" / "model").write_text("mine")
    (tmp_path / ".report.html.lock").write_text("")
    (tmp_path / ".mine").mkdir()
    (tmp_path / "notes.txt").write_text("years of work")
    return tmp_path


def test_only_what_is_old_is_shown(used):
    assert [one.path.name[:12] for one in removable(used, 3600.0)] == [".gone.before"], "an export that is to be back"
    with pytest.raises(WorkbenchError, match="was being replaced when its process was killed"):
        wb.load(used / "gone")
    shown = total(removable(used, 0.0))
    assert shown[SCANS][0] == 1
    assert shown[LEFT][0] == 3
    assert SESSIONS not in shown
    assert total(removable(used, 0.0, sessions=True))[SESSIONS][0] == 1


def test_cleaning_leaves_work_alone_and_puts_an_earlier_export_back(used):
    remove(used, removable(used, 0.0))
    assert removable(used, 0.0) == []
    assert sorted(path.name for path in used.iterdir()) == [".mine", ".workbench", "gone", "notes.txt", "out"]
    assert (used / "gone" / "model").read_text() == "mine"
    assert [path.name[:8] for path in used.glob(".workbench/*/*") if path.is_file()] == ["session-"]
    wb.load_model(used / "out")


def test_what_somebody_writes_at_this_moment_stays(used):
    with replaced(used / "other", lambda _: None) as half:
        remove(used, removable(used, 0.0))
        assert half.is_dir()
    assert (used / "other").is_dir()


def test_the_command_shows_and_removes_only_when_told(used, capsys, monkeypatch):
    monkeypatch.chdir(used)
    assert main(["clean", ".workbench"]) == 0
    assert "nothing to remove" in capsys.readouterr().out
    assert main(["clean", "--older", "0"]) == 0
    out = capsys.readouterr().out
    assert "scores of scans" in out
    assert "--yes removes it" in out
    assert removable(used, 0.0)
    assert main(["clean", str(used), "--older", "0", "--sessions", "--yes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["removed"] > 0
    assert removable(used, 0.0, sessions=True) == []
    assert os.listdir(used / "out")  # noqa: PTH208  # as short as it can be
