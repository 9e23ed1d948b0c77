"""Lessons for a class: a folder and a server for each learner, apart from the others, and all end together."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import psutil
import pytest

from tests.sampling import whole
from workbench.cli import classroom
from workbench.cli.main import main
from workbench.errors import WorkbenchError
from workbench.lessons.course import LESSONS


def test_a_host_that_is_not_this_machine_is_said():
    with pytest.raises(WorkbenchError, match=r"cannot listen at 203\.0\.113\.7"):
        classroom._port(SimpleNamespace(host="203.0.113.7", port=None), 0)


def test_learners_are_named_in_a_list_or_a_file(tmp_path):
    many = [f"learner number {number}" for number in range(40)]
    assert classroom.names(",".join(many)) == tuple(many), "longer than a file's name may be"
    with pytest.raises(WorkbenchError, match="a folder of the course"):
        classroom.names("ada, lessons")
    assert classroom.names("ada, bob,") == ("ada", "bob")
    file = tmp_path / "names.txt"
    file.write_text("Ada Lovelace\n\nGrace Hopper\n")
    assert classroom.names(str(file)) == ("Ada Lovelace", "Grace Hopper")
    for wrong, said in (
        ("", "no learner"),
        ("../ada", "cannot be a folder"),
        ("ada,Ada", "twice"),
        ("..", "cannot be"),
    ):
        with pytest.raises(WorkbenchError, match=said):
            classroom.names(wrong)


def test_a_learners_work_stays_when_lessons_are_handed_out_again(tmp_path):
    folder = classroom.prepare(tmp_path / "ada")
    assert {path.name for path in (folder / "lessons").glob("*.ipynb")} == {f"{one.name}.ipynb" for one in LESSONS}
    (folder / "lessons" / "01-where.ipynb").write_text("mine")
    (folder / "lessons" / "02-pruning.ipynb").unlink()
    classroom.prepare(tmp_path / "ada")
    assert (folder / "lessons" / "01-where.ipynb").read_text() == "mine"
    assert (folder / "lessons" / "02-pruning.ipynb").is_file()
    with pytest.raises(WorkbenchError, match="notebooks are not there"):
        classroom.prepare(tmp_path / "bob", tmp_path)


def test_what_cannot_be_is_refused_before_any_folder_is_made(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["serve", "--lessons", "--apart"]) == 1
    assert "--learners ada,bob" in capsys.readouterr().err
    assert main(["serve", "--lessons", "--learners", "ada"]) == 1
    assert "--apart" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def asked(address: str, path: str, token: str) -> tuple[int, bytes]:
    headers = {"Authorization": f"token {token}"}
    request = urllib.request.Request(f"{address}{path}", headers=headers)  # noqa: S310  # this machine's own server
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310  # as above
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, b""


@pytest.mark.slow
@whole
def test_each_learner_has_a_server_of_their_own(tmp_path):
    command = [sys.executable, "-m", "workbench", "serve", "--lessons", "--apart", "--learners", "ada,bob"]
    server = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        told = dict(server.stdout.readline().strip().split("\t") for _ in range(2))
        addresses = {name: urlsplit(address) for name, address in told.items()}
        hosts = {name: f"{one.scheme}://{one.netloc}" for name, one in addresses.items()}
        tokens = {name: one.query.removeprefix("token=") for name, one in addresses.items()}
        code, listed = asked(hosts["ada"], "/api/contents/", tokens["ada"])
        assert code == 200
        assert {one["name"] for one in json.loads(listed)["content"]} == {"lessons", "workbench.ipynb"}
        assert asked(hosts["ada"], "/api/contents/", tokens["bob"])[0] == 403
        assert asked(hosts["ada"], "/api/contents/../bob", tokens["ada"])[0] == 404
        assert (Path(tmp_path) / "class" / "bob" / "lessons" / "11-capstone.ipynb").is_file()
        running = psutil.Process(server.pid).children()
        assert len(running) == 2
        server.send_signal(signal.SIGINT)
        assert server.wait(30) == 0
        assert psutil.wait_procs(running, 10)[1] == []
    finally:
        server.kill()
        server.wait()
        server.stdout.close()
