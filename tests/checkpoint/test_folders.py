"""A replaced folder is never lost: neither by an error nor by a kill at any place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from workbench.checkpoint.files import keep, remove_halves, write_whole
from workbench.checkpoint.folders import check_place, recover, replaced
from workbench.checkpoint.lock import locked
from workbench.errors import WorkbenchError


def write(place: Path, text: str) -> None:
    with replaced(place, lambda _: None) as half:
        (half / "file").write_text(text)


def beside(place: Path) -> list[str]:
    return sorted(path.name for path in place.parent.iterdir())


@pytest.mark.parametrize("failing", [1, 2])
def test_a_rename_that_fails_leaves_what_was_there(tmp_path, monkeypatch, failing):
    place, rename, calls = tmp_path / "out", Path.rename, []
    write(place, "old")

    def refused(self, target):
        calls.append(target)
        if len(calls) == failing:
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refused)
    with pytest.raises(OSError, match="No space"):
        write(place, "new")
    assert (place / "file").read_text() == "old"
    assert beside(place) == ["out"]


def test_an_error_inside_leaves_what_was_there_and_nothing_beside_it(tmp_path):
    place = tmp_path / "out"
    write(place, "old")

    def interrupted() -> None:
        with replaced(place, lambda _: None) as half:
            (half / "file").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert (place / "file").read_text() == "old"
    assert beside(place) == ["out"]


def test_what_another_process_is_writing_is_left_alone(tmp_path):
    place = tmp_path / "out"
    with replaced(place, lambda _: None) as half:
        with pytest.raises(WorkbenchError, match=r"out is being written by somebody else"):
            write(place, "second")
        recover(place)  # without the lock, only what is old goes
        assert half.is_dir()
        (half / "file").write_text("first")
    assert (place / "file").read_text() == "first"


def test_without_locks_only_what_is_old_is_removed(tmp_path):
    place = tmp_path / "out"
    old, young, other = (
        tmp_path / f".{name}.half-{letter * 32}" for name, letter in zip(("out", "out", "outer"), "abc", strict=True)
    )
    for path in (old, young, other):
        path.mkdir()
    for path in (old, other):
        os.utime(path, (1, 1))
    recover(place)
    assert beside(place) == sorted([young.name, other.name])


def test_a_link_is_followed_and_stays(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "disk")
    write(tmp_path / "out", "new")
    assert (tmp_path / "out").is_symlink()
    assert (tmp_path / "disk" / "file").read_text() == "new"


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "file/out", "x" * 230])
def test_a_place_that_cannot_be_is_known_before(tmp_path, name):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):  # noqa: PT011  # each system has its own words
        check_place(tmp_path / name)
    check_place(tmp_path / "deep" / "out")
    assert beside(tmp_path / "x") == ["file"]


def test_a_lock_is_held_once_and_goes(tmp_path):
    with locked(tmp_path / "lock", "it"):
        with pytest.raises(WorkbenchError, match="it is being written"), locked(tmp_path / "lock", "it"):
            pass
        assert (tmp_path / "lock").exists()
    (tmp_path / "lock").write_text("left by a killed process")
    with locked(tmp_path / "lock", "it") as sole:
        assert sole
    assert list(tmp_path.iterdir()) == []


def full(_: Path) -> None:
    raise OSError(28, "No space left on device")


def test_a_cache_that_cannot_be_written_stops_nothing(tmp_path, caplog):
    assert not keep(tmp_path / "disk" / "one", full)
    assert not keep(tmp_path / "disk" / "two", full)
    assert [record.message for record in caplog.records if "No space" in record.message] == caplog.messages[:1]
    (tmp_path / "file").write_text("")
    assert not keep(tmp_path / "file" / "one", lambda half: half.write_text("x"))
    assert keep(tmp_path / "disk" / "one", lambda half: half.write_text("x"))
    assert [path.name for path in (tmp_path / "disk").iterdir()] == ["one"]


def test_halves_of_killed_processes_are_removed_when_they_are_old(tmp_path):
    write_whole(tmp_path / "kept", lambda half: half.write_text("x"))
    (tmp_path / "a.part").write_text("x")
    (tmp_path / "b.part").write_text("x")
    os.utime(tmp_path / "a.part", (1, 1))
    remove_halves(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.part", "kept"]


def test_a_half_of_a_process_that_ended_is_removed_at_once(tmp_path):
    halves: list[Path] = []
    with pytest.raises(FileNotFoundError):
        write_whole(tmp_path / "deep" / "kept", halves.append)
    mine = halves[0]
    mine.write_text("x")
    ended = mine.with_name(mine.name.replace(f"-{os.getpid()}-", "-999999999-"))
    ended.write_text("x")
    remove_halves(tmp_path)
    assert [path.name for path in mine.parent.iterdir()] == [mine.name]
