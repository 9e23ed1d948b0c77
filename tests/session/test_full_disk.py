"""What is kept on the disk is a convenience: where nothing can be written, all work goes on, and says so."""

import errno
import logging
import os
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import torch

import workbench as wb
from workbench.checkpoint import files
from workbench.export import program
from workbench.session.autosave import Autosave
from workbench.steps import Context, State

if sys.platform != "win32":
    import resource


@contextmanager
def full_disk():
    """Let files get no longer than some bytes, for all that writes, torch's own writer too."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def failing(code, *names):
    """Let functions of paths fail as those of the system do."""

    def fail(*_, **__):
        raise OSError(code, os.strerror(code))

    with pytest.MonkeyPatch.context() as patch:
        for name in names:
            patch.setattr(Path, name, fail)
        yield


FAULTS = {
    "full": full_disk,
    "read-only": lambda: failing(errno.EROFS, "mkdir", "replace", "unlink", "write_text"),
    "no renames": lambda: failing(errno.ENOSPC, "replace"),
    "unreadable": lambda: failing(errno.EIO, "mkdir", "rglob", "glob", "read_text", "exists", "stat"),
}


@pytest.mark.skipif(sys.platform == "win32", reason="files have no limit there")
@pytest.mark.parametrize("name", FAULTS)
def test_a_disk_that_fails_ends_nothing(name, images, open_session, caplog, monkeypatch):
    monkeypatch.setattr(files, "_told", set())
    steps = (wb.Prune(amount=0.5), wb.FineTune(epochs=1))
    plain = open_session(images, autosave=None)
    plain.extend(steps)
    wanted = plain.sensitivity(wb.Quantize(), (4.0,)).points
    session = open_session(images)
    with caplog.at_level(logging.WARNING), FAULTS[name]():
        assert session.saved() == ()
        session.extend(steps)
        assert "the session could not be saved" in session.error
        assert [(one.target, one.score) for one in session.sensitivity(wb.Quantize(), (4.0,)).points] == [
            (one.target, one.score) for one in wanted
        ]
        session.undo()
        session.redo()
    told = [record.message for record in caplog.records if "nothing is kept in" in record.message]
    assert len(told) == 2, "once for trainings, once for scans"
    assert session.current.score == plain.current.score
    for key, value in plain.state.model.state_dict().items():
        assert torch.equal(session.state.model.state_dict()[key], value)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no such device here")  # noqa: PTH110
def test_a_disk_that_is_full_while_a_program_is_exported_is_an_error_of_the_disk(images, tmp_path):
    (tmp_path / program.FILE).symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        program.write(tmp_path, State.of(images), Context(images))


def test_sessions_that_are_removed_while_they_are_listed_are_not_listed(images, tmp_path, monkeypatch):
    one, two = Autosave(tmp_path, images), Autosave(tmp_path, images)
    one.write({})
    look = Path.stat

    def removed(path, **options):
        with suppress(OSError):
            os.remove(path)  # noqa: PTH107  # Path's own asks for its stat
        return look(path, **options)

    monkeypatch.setattr(Path, "stat", removed)
    assert two.earlier() == ()
