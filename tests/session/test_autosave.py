"""The session's file is whole or absent, and never overwritten by another session."""

import json
import os

import pytest

from workbench.errors import WorkbenchError
from workbench.session.autosave import Autosave, clean
from workbench.steps import Prune, Quantize


def test_a_crash_while_writing_leaves_what_was_there(images, tmp_path, monkeypatch):
    saved = Autosave(tmp_path, images)
    saved.write({"history": 1})

    def crash(*_):
        raise OSError("killed")

    monkeypatch.setattr("pathlib.Path.replace", crash)
    with pytest.raises(OSError, match="killed"):
        saved.write({"history": 2})
    assert json.loads(saved.path.read_text()) == {"history": 1}


def test_each_session_has_its_own_file_and_the_newest_comes_first(images, tmp_path):
    one, two = Autosave(tmp_path, images), Autosave(tmp_path, images)
    assert one.path != two.path
    one.write({"n": 1})
    two.write({"n": 2})
    os.utime(one.path, (1, 1))
    third = Autosave(tmp_path, images)
    assert third.earlier() == (two.path, one.path)
    assert two.earlier() == (one.path,)


def test_another_model_has_another_folder(images, vectors, tmp_path):
    assert Autosave(tmp_path, images).folder != Autosave(tmp_path, vectors).folder


@pytest.mark.parametrize(
    ("name", "safe"),
    [("../../etc/passwd", "etc-passwd"), ("", "model"), ("..", "model"), ("a b/c", "a-b-c"), ("ü" * 9, "model")],
)
def test_a_name_is_no_path(name, safe):
    assert clean(name) == safe


def test_a_session_comes_back(images, open_session):
    first = open_session(images)
    found = first.apply(Prune(amount=0.6))
    first.apply(Quantize(bits=4))
    first.undo()
    first.close()
    second = open_session(images)
    assert len(second.saved()) == 1
    second.restore()
    assert second.history == first.history
    assert second.current == found
    second.redo()
    assert second.measure() == first.measurements[2]


def test_a_session_without_a_past_says_so(images, open_session):
    with pytest.raises(WorkbenchError, match="no earlier session"):
        open_session(images).restore()
    assert open_session(images, autosave=None).saved() == ()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"history": {}, "measurements": {}}',
        '{"history": {"nodes": [], "at": 0, "branches": [["main", 0]], "branch": "main"}, "measurements": {}}',
        '{"history": {"nodes": [{"parent": null, "step": null}], "at": 5, "branches": [["main", 0]], "branch": "main"},'
        ' "measurements": {}}',
        '{"history": {"nodes": [{"parent": 0, "step": null}], "at": 0, "branches": [["main", 0]], "branch": "main"},'
        ' "measurements": {}}',
        '{"history": {"nodes": [{"parent": null, "step": null}], "at": 0, "branches": [["x", 0]], "branch": "main"},'
        ' "measurements": {}}',
        '{"history": {"nodes": [{"parent": null, "step": null}, {"parent": 0, "step": {"kind": "rm"}}], "at": 0,'
        ' "branches": [["main", 0]], "branch": "main"}, "measurements": {}}',
    ],
)
def test_a_damaged_file_is_refused_and_changes_nothing(session, tmp_path, text):
    path = tmp_path / "session-x.json"
    path.write_text(text)
    before = session.history, session.measurements
    with pytest.raises(WorkbenchError, match=r"session-x\.json"):
        session.restore(path)
    assert (session.history, session.measurements) == before


def test_a_full_disk_is_said_and_loses_nothing(session, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    session.apply(Prune(amount=0.5))
    monkeypatch.setattr("pathlib.Path.write_text", full)
    session.apply(Quantize())
    assert "could not be saved" in session.error
    assert "No space left" in session.error
    assert len(session.recipe) == 2
