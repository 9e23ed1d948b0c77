"""A wheel of this tree works where there is no checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.sampling import whole

ROOT = Path(__file__).parents[1]
CODE = """
import sys, workbench as wb
from importlib.resources import files
from pathlib import Path
assert Path(wb.__file__).is_relative_to(sys.prefix), wb.__file__
import widgets
inside = files("workbench")
assert (inside / "notebooks" / "workbench.ipynb").is_file()
assert (inside / "report" / "template.ipynb").is_file()
assert (Path(widgets.__file__).parent / "static" / "figure.js").is_file()
subject = wb.load("digits-transformer")
session = wb.Session(subject, wb.Settings(tolerance=0.05, seconds=0.02), threaded=False, autosave=None)
session.apply(wb.Quantize(bits=8))
widgets.Panel(session)
session.report("report.html")
print("works", round(session.current.score.value, 2))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    _run([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)], folder)
    (built,) = folder.glob("*.whl")
    return built


def test_a_wheel_holds_all_that_the_packages_do(wheel: Path) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "workbench", "widgets"],  # noqa: S607  # whichever git there is
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    inside = set(ZipFile(wheel).namelist())
    assert [name for name in tracked if name not in inside] == []
    assert {"workbench/notebooks/workbench.ipynb", "widgets/static/figure.js"} <= inside


@whole
@pytest.mark.slow
def test_a_wheel_works_in_a_fresh_environment(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "fresh", with_pip=False)
    (site,) = (tmp_path / "fresh" / "lib").glob("python3*/site-packages")
    _run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(wheel)], tmp_path)
    # What it depends on comes from this environment; a .pth file puts it behind the wheel's own files.
    (site / "dependencies.pth").write_text("\n".join(p for p in sys.path if p.endswith("site-packages")))
    found = _run([str(tmp_path / "fresh" / "bin" / "python"), "-c", CODE], tmp_path)
    assert found.startswith("works 0.9")
    assert (tmp_path / "report.html").stat().st_size > 1_000_000


def _run(command: list[str], folder: Path) -> str:
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    # nbconvert looks for its own templates below the environment it is installed in.
    clean["JUPYTER_PATH"] = str(Path(sys.prefix) / "share" / "jupyter")
    done = subprocess.run(command, cwd=folder, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
