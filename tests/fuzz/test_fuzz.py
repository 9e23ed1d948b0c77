"""Some mutants of each kind of input; `make fuzz` reads many more."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz import kinds  # noqa: F401  # each of them signs up
from tests.fuzz.fuzz import fuzz
from tests.fuzz.kind import KINDS
from tests.fuzz.watch import watched
from tests.sampling import whole

COUNT = 20


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_no_mutant_runs_code_or_ends_in_anything_but_an_error_for_people(kind, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    found = fuzz(kind, 0, COUNT)
    assert found.problems == []
    assert found.counts["read"] == COUNT
    # Mutants that all fail at the first check would try nothing.
    assert 0 < found.counts["accepted"] < COUNT * 0.9


def test_the_watch_sees_code_imports_and_writing(tmp_path):
    with watched() as happened:
        eval("1")  # noqa: S307  # this is what is watched for
    assert happened
    for act in (
        lambda: exec("1"),  # noqa: S102
        lambda: compile("1", "x", "eval"),
        lambda: __import__("this_is_not_there"),
        lambda: (tmp_path / "x").write_text(""),
        lambda: os.system("true"),  # noqa: S605, S607
        lambda: os.close(os.open(tmp_path / "x", os.O_WRONLY)),
    ):
        with watched() as happened, contextlib.suppress(ImportError):
            act()
        assert happened, act
    with watched() as happened:
        (tmp_path / "x").read_text()
        assert sys.version
    assert happened == []


@whole
@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills are made of forks")
def test_kills_lose_nothing_but_the_running_job():
    command = [sys.executable, "-m", "tests.fuzz.kills", "--count", "4"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
