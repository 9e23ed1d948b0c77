"""The session's file is whole or absent, and never overwritten by another session."""

import copy
import json
import os
from pathlib import Path

import pytest

from tests.sampling import sampled
from workbench import formatting
from workbench.errors import Cancelled, WorkbenchError
from workbench.jobs.progress import Progress
from workbench.session.autosave import Autosave, clean
from workbench.session.saved import SavedSession
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


def places(value, path=()):
    """Yield the path of every value inside of a JSON value."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield (*path, key)
        yield from places(inner, (*path, key))


FILE = Path(__file__).parent / "files" / "session-first-version.json"


def test_a_file_of_the_first_version_is_read(vectors, open_session):
    session = open_session(vectors)
    session.restore(FILE)
    assert session.error == ""
    assert session.settings.seed == 5
    assert [node.parent for node in session.history.nodes] == [None, 0, 1, 1]
    assert (session.history.at, session.history.branch) == (2, "main")
    assert dict(session.history.branches) == {"main": 2, "other": 3}
    assert sorted(session.measurements) == [0, 1, 2, 3]
    assert session.measurements[1].score.change == pytest.approx(-0.015)
    assert session.measurements[1].score.population_low is None, "what was not known then"
    assert session.at_hand(2)


@pytest.mark.parametrize(
    "wrong", sampled([None, True, -1, 0.5, 2**64, 10**400, float("nan"), float("inf"), "x", [], {}], 5)
)
def test_no_field_of_another_type_is_taken_over(session, tmp_path, wrong):
    """Each value of a file is replaced; whatever is still read holds numbers that a view can show."""
    whole, path = json.loads(FILE.read_text()), tmp_path / "session-x.json"
    before = session.history, session.measurements
    for place in places(whole):
        facts = copy.deepcopy(whole)
        inner = facts
        for key in place[:-1]:
            inner = inner[key]
        inner[place[-1]] = wrong
        path.write_text(json.dumps(facts))
        refused = None
        try:
            read = SavedSession.load(path, 0, "")
        except WorkbenchError as error:
            refused = str(error)
        if refused is not None:
            assert len(refused.splitlines()) == 1
            continue
        for found in read.measurements.values():
            assert all(text for _, _, text in formatting.rows(found))
            assert json.dumps(found.facts())
        assert read.history.recipe(0).key
    assert (session.history, session.measurements) == before


def test_a_newer_version_and_other_files_are_refused(session, tmp_path):
    whole, path = json.loads(FILE.read_text()), tmp_path / "session-x.json"
    for change, match in (({"version": 99}, "version 99 is not read"), ({"format": "recipe"}, "no session")):
        path.write_text(json.dumps({**whole, **change}))
        with pytest.raises(WorkbenchError, match=match):
            session.restore(path)
    path.write_text("[" * 100_000)
    with pytest.raises(WorkbenchError, match=r"session-x\.json cannot be read: it is nested too deeply"):
        session.restore(path)


def test_a_state_that_cannot_be_built_leaves_the_session_at_the_subject(images, open_session, tmp_path):
    facts = json.loads(FILE.read_text())
    facts["history"]["nodes"][2]["step"]["layers"] = "of-another-model"
    path = tmp_path / "session-x.json"
    path.write_text(json.dumps(facts))
    session = open_session(images)
    session.restore(path)
    assert session.history.at == 0
    assert len(session.history.nodes) == 4
    assert "cannot be built, so the session stands at the subject" in session.error


def test_what_was_measured_of_another_model_is_not_shown(images, vectors, open_session):
    first = open_session(vectors)
    first.measure()
    second = open_session(images)
    second.restore(first._autosave.path)
    assert second.measurements == {}
    third = open_session(vectors)
    third.restore(first._autosave.path)
    assert third.measurements == first.measurements


def test_a_restore_that_is_stopped_changes_nothing(vectors, open_session):
    session = open_session(vectors)
    before = session.history
    with pytest.raises(Cancelled):
        session.restore(FILE, Progress(cancelled=lambda: True))
    assert session.history == before


def test_a_full_disk_is_said_and_loses_nothing(session, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    session.apply(Prune(amount=0.5))
    monkeypatch.setattr("pathlib.Path.write_text", full)
    session.apply(Quantize())
    assert "could not be saved" in session.error
    assert "No space left" in session.error
    assert len(session.recipe) == 2
