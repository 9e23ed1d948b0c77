"""Real work in text, speech and images, if its data is given: what compression costs there, and what it gains.

One command a job, such as `pytest tests/benchmarks/real -s -k r8 --override-ini=addopts= --r8-train … --r8-test …`;
each took 6 to 13 minutes on a busy core. Trained nets and what was found stay in `out/benchmarks/real`, and the table
is made of what lies there, so that `-k` may choose rows. Validation steers, and a run scores the test split once for
each row.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import workbench as wb
from tests.benchmarks.real import blood_cells, g2p, r8, runner, silero, spoken_digits
from tests.benchmarks.real.job import Job

JOBS = {module.JOB.name: module.JOB for module in (r8, g2p, silero, spoken_digits, blood_cells)}
ROWS = [pytest.param(job, row, id=f"{job.name}-{row}") for job in JOBS.values() for row in job.rows]
MADE: dict[str, wb.Subject] = {}


def folder_of(config: pytest.Config, job: Job) -> Path:
    path = Path(config.rootpath) / "out" / "benchmarks" / "real" / job.name
    path.mkdir(parents=True, exist_ok=True)
    return path


def subject_of(config: pytest.Config, job: Job) -> wb.Subject:
    paths = {name: config.getoption(f"--{name}") for name in job.files}
    if not all(paths.values()):
        pytest.skip("give " + " and ".join(f"--{name}" for name in job.files))
    if job.name not in MADE:
        MADE[job.name] = job.subject(paths, folder_of(config, job))
    return MADE[job.name]


@pytest.mark.parametrize(("job", "row"), ROWS)
def test_row(pytestconfig: pytest.Config, job: Job, row: str) -> None:
    facts = runner.run_row(job, subject_of(pytestconfig, job), folder_of(pytestconfig, job), row)
    print(f"\n{job.name}, {row}: test {facts['test']:.2%}, {facts['bytes']:,} bytes, {facts['seconds']:.0f} s")
    for note in facts["notes"]:
        print(f"  {note}")


@pytest.mark.parametrize("job", JOBS.values(), ids=[f"{name}-table" for name in JOBS])
def test_table(pytestconfig: pytest.Config, job: Job) -> None:
    print(f"\n{runner.table(job, subject_of(pytestconfig, job), folder_of(pytestconfig, job))}")
