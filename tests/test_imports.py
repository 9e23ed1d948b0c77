"""The house: who may know whom, read from the source."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import widgets
import workbench
from workbench.loading.embedded import NAMES
from workbench.loading.named import EMBEDDED
from workbench.steps import KINDS

ROOT = Path(__file__).parents[1]
# The rooms from the ground up: nothing imports what comes after it, in a function or for its types either.
ROOMS = (
    "errors", "registry", "jobs", "task", "checkpoint", "model", "graph", "loading", "steps", "measure", "formatting",
    "search", "inspection", "charts", "export", "report", "session", "lessons", "public", "", "cli", "__main__",
)  # fmt: skip
HEAVY = ("onnx", "onnxruntime", "onnxscript", "bokeh", "sklearn", "scipy", "IPython", "ipywidgets", "nbconvert",
         "nbformat", "nbclient", "jupyterlab", "PIL", "torch._export.serde.serialize", "torchvision", "timm",
         "transformers", "matplotlib", "pandas", "captum", "optuna", "sqlalchemy")  # fmt: skip


def sources(folder: str, root: Path = ROOT) -> list[Path]:
    return sorted((root / folder).rglob("*.py"))


def module(path: Path, root: Path = ROOT) -> str:
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def imports(path: Path, root: Path = ROOT) -> Iterator[str]:
    """Yield the full names of all modules that a file imports anywhere in it, for types only too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports by dots"
            for alias in node.names:
                inner = root.joinpath(*f"{node.module}.{alias.name}".split("."))
                is_module = inner.with_suffix(".py").exists() or inner.is_dir()
                yield f"{node.module}.{alias.name}" if is_module else str(node.module)


def room(name: str) -> str:
    """Return the room that a module of the core belongs to."""
    return name.split(".")[1] if "." in name else ""


def circles(root: Path, *folders: str) -> list[set[str]]:
    """Return the sets of modules that import each other, over however many others."""
    graph = {module(path, root): set(imports(path, root)) for folder in folders for path in sources(folder, root)}
    reach = {name: {other for other in found if other in graph} - {name} for name, found in graph.items()}
    for middle in graph:
        for name in graph:
            if middle in reach[name]:
                reach[name] |= reach[middle]
    return [{other for other in reach[name] if name in reach[other]} for name in graph if name in reach[name]]


def test_every_room_has_its_place_and_the_root_is_short():
    assert {room(module(path)) for path in sources("workbench")} == set(ROOMS)
    entries = [path.name for path in (ROOT / "workbench").iterdir() if path.name != "__pycache__"]
    assert len(entries) <= 23, sorted(entries)
    loose = {path.stem for path in (ROOT / "workbench").glob("*.py")}
    assert loose == {"__init__", "__main__", "errors", "formatting", "public", "registry"}


def test_nothing_imports_upward():
    for path in sources("workbench"):
        here = ROOMS.index(room(module(path)))
        for name in imports(path):
            if name == "workbench" or name.startswith("workbench."):
                assert ROOMS.index(room(name)) <= here, f"{module(path)} imports {name}, which is above it"


def test_no_modules_import_each_other():
    assert circles(ROOT, "workbench", "widgets") == []


@pytest.mark.parametrize("where", ["def work():\n    import house.one\n", "if TYPE_CHECKING:\n    import house.one\n"])
def test_a_circle_is_seen_wherever_it_hides(tmp_path, where):
    (tmp_path / "house").mkdir()
    (tmp_path / "house" / "one.py").write_text("from house import two\n")
    (tmp_path / "house" / "two.py").write_text("from house.three import thing\n")
    (tmp_path / "house" / "three.py").write_text(where)
    assert {"house.one", "house.two", "house.three"} in circles(tmp_path, "house")


def test_no_module_is_hidden_by_something_of_its_name():
    hidden = []
    for package in (workbench, widgets):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not found.name.endswith("__main__"):
                inner = importlib.import_module(found.name)
                parent, _, name = found.name.rpartition(".")
                if getattr(sys.modules[parent], name, None) is not inner:
                    hidden.append(found.name)
    assert hidden == []


def test_the_core_knows_no_widgets():
    for path in sources("workbench"):
        foreign = {name.partition(".")[0] for name in imports(path)}
        allowed = {"report"}  # a notebook is displayed where it is made
        if room(module(path)) not in allowed:
            assert not foreign & {"ipywidgets", "IPython", "widgets"}, module(path)
        assert "widgets" not in foreign, module(path)


CONCRETE = {step.__module__ for step in KINDS.values()}
CONCRETE_NAMES = {step.__name__ for step in KINDS.values()}


@pytest.mark.parametrize("name", sorted(CONCRETE))
def test_step_files_never_import_each_other(name):
    path = ROOT / f"{name.replace('.', '/')}.py"
    assert not (set(imports(path)) & CONCRETE) - {name}


STRANGERS = ("workbench/steps/recipe.py", "workbench/steps/history.py", "workbench/search/sensitivity.py",
             "workbench/search/allocate.py", "workbench/search/budget.py", "workbench/search/trials/trial.py",
             "workbench/session/core.py", "workbench/session/editing.py", "workbench/session/preview.py",
             "workbench/session/session.py", "widgets/forms.py", "workbench/cli/arguments.py",
             "workbench/cli/commands.py")  # fmt: skip


@pytest.mark.parametrize("file", STRANGERS)
def test_what_works_with_any_step_knows_none(file):
    path = ROOT / file
    assert not set(imports(path)) & CONCRETE
    names = {node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)}
    assert not names & CONCRETE_NAMES


@pytest.mark.parametrize("path", sources("workbench/charts"), ids=module)
def test_charts_know_neither_session_nor_widgets(path):
    known = set(imports(path))
    assert "workbench.session.session" not in known
    assert not {name.partition(".")[0] for name in known} & {"ipywidgets", "traitlets", "IPython"}


def test_a_view_never_imports_another_view():
    views = {module(path) for path in sources("widgets/views")} - {"widgets.views"}
    for path in sources("widgets/views"):
        if path.stem != "__init__":
            assert not (set(imports(path)) & views) - {module(path)}, module(path)


def test_only_the_panel_knows_the_views():
    for path in sources("widgets"):
        if path.stem not in ("panel", "__init__") and "views" not in path.parts:
            assert not any(name.startswith("widgets.views") for name in imports(path)), module(path)


def loaded_by(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_workbench_loads_nothing_heavy():
    loaded = loaded_by("import workbench; workbench.Session")
    assert "workbench.session.session" in loaded
    assert not loaded & set(HEAVY)
    # What torch has not loaded by itself is the workbench's doing: its compiler alone takes a second.
    assert not {name for name in loaded - loaded_by("import torch") if name.startswith(("torch._dynamo", "sympy"))}


def test_the_command_line_says_something_before_torch_is_imported():
    """Importing torch takes seconds: helps, wrong usage and names that lead nowhere do without."""
    loaded = loaded_by("from workbench.cli.main import main\nmain(['inspect', 'nosuch.py:net'])")
    assert "workbench.cli.starting" in loaded
    assert not {name.partition(".")[0] for name in loaded} & {"torch", "numpy"}


def test_names_of_the_package_are_found_when_they_are_asked_for():
    assert set(workbench.__all__) <= set(dir(workbench))
    assert workbench.formatting.count(1) == "1"
    with pytest.raises(AttributeError, match="no attribute 'Levitate'"):
        _ = workbench.Levitate
    assert EMBEDDED == NAMES


@pytest.mark.parametrize("path", sources("tests/benchmarks"), ids=lambda path: path.stem)
def test_benchmarks_find_what_they_measure(path):
    """The suite does not run them, so that nobody would notice a name that is gone."""
    importlib.import_module(module(path))
