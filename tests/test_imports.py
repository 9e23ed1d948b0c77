"""The house: who may know whom, read from the source."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from workbench.steps import KINDS

ROOT = Path(__file__).parents[1]
# From the trial_context up. Nothing imports what stands below it in this list, and so nothing imports in a circle.
ORDER = (
    "errors", "files", "turn", "twin", "metric", "progress", "augmentation", "coding", "samples", "task", "calibration",
    "quantizer", "graph", "layers", "subject", "checkpoint", "load", "context", "importance", "rounding", "steps",
    "recipe", "script", "runtimes", "prefixes", "evaluator", "measure", "numbers", "live", "trials",
    "sensitivity", "budget", "pace", "search", "presets", "contest", "impact", "history", "autosave", "jobs", "states",
    "inspection", "export", "session", "", "charts", "report", "cli", "__main__",
)  # fmt: skip
HEAVY = ("onnx", "onnxruntime", "onnxscript", "bokeh", "sklearn", "scipy", "IPython", "ipywidgets", "nbconvert",
         "nbformat", "nbclient", "jupyterlab", "PIL", "torch._export.serde.serialize", "torchvision", "timm",
         "transformers", "matplotlib", "pandas", "captum")  # fmt: skip


def sources(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(path: Path, everywhere: bool = False) -> Iterator[str]:
    """Yield the full names that a file imports at module level, or everywhere in it; types only do not count."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree) if everywhere else at_import(tree.body):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports by dots"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found = ROOT.joinpath(*inner.split("."))
                yield inner if found.with_suffix(".py").exists() or found.is_dir() else str(node.module)


def at_import(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        yield node
        for name in ("body", "orelse", "finalbody"):
            if isinstance(node, ast.If | ast.Try | ast.With | ast.For | ast.ClassDef):
                yield from at_import(getattr(node, name, []))


def floor(name: str) -> str:
    """Return the part of the house that a module of the core belongs to."""
    return name.split(".")[1] if "." in name else ""


def test_every_part_of_the_core_has_its_place():
    assert {floor(module(path)) for path in sources("workbench")} - set(ORDER) == set()
    assert len(set(ORDER)) == len(ORDER)


@pytest.mark.parametrize("path", sources("workbench"), ids=module)
def test_nothing_imports_upward(path):
    here = ORDER.index(floor(module(path)))
    for name in imports(path):
        if name == "workbench" or name.startswith("workbench."):
            assert ORDER.index(floor(name)) <= here, f"{module(path)} imports {name}, which is above it"


@pytest.mark.parametrize("path", sources("workbench"), ids=module)
def test_the_core_knows_no_widgets(path):
    foreign = {name.partition(".")[0] for name in imports(path, everywhere=True)}
    allowed = {"report"}  # a notebook is displayed where it is made
    if floor(module(path)) not in allowed:
        assert not foreign & {"ipywidgets", "IPython", "widgets"}
    assert "widgets" not in foreign


CONCRETE = {f"workbench.steps.{Path(sys.modules[step.__module__].__file__ or '').stem}" for step in KINDS.values()}
CONCRETE_NAMES = {step.__name__ for step in KINDS.values()}


@pytest.mark.parametrize("name", sorted(CONCRETE))
def test_step_files_never_import_each_other(name):
    path = ROOT / f"{name.replace('.', '/')}.py"
    assert not (set(imports(path, everywhere=True)) & CONCRETE) - {name}


STRANGERS = ("workbench/recipe.py", "workbench/sensitivity.py", "workbench/search.py", "workbench/budget.py",
             "workbench/live.py", "widgets/forms.py", "workbench/cli/arguments.py",
             "workbench/cli/commands.py")  # fmt: skip


@pytest.mark.parametrize("file", STRANGERS)
def test_what_works_with_any_step_knows_none(file):
    path = ROOT / file
    if not path.exists():
        pytest.skip(f"there is no {file} yet")
    assert not set(imports(path, everywhere=True)) & CONCRETE
    names = {node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)}
    assert not names & CONCRETE_NAMES


@pytest.mark.parametrize("path", sources("workbench/charts"), ids=module)
def test_charts_know_neither_session_nor_widgets(path):
    known = set(imports(path, everywhere=True))
    assert "workbench.session.session" not in known
    assert not {name.partition(".")[0] for name in known} & {"ipywidgets", "traitlets", "IPython"}


def test_a_view_never_imports_another_view():
    views = {module(path) for path in sources("widgets/views")} - {"widgets.views"}
    for path in sources("widgets/views"):
        if path.stem != "__init__":
            assert not (set(imports(path, everywhere=True)) & views) - {module(path)}, module(path)


def test_only_the_panel_knows_the_views():
    for path in sources("widgets"):
        if path.stem not in ("panel", "__init__") and "views" not in path.parts:
            assert not any(name.startswith("widgets.views") for name in imports(path, everywhere=True)), module(path)


def loaded_by(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_workbench_loads_nothing_heavy():
    loaded = loaded_by("import workbench")
    assert "workbench.session.session" in loaded
    assert not loaded & set(HEAVY)
    # What torch has not loaded by itself is the workbench's doing: its compiler alone takes a second.
    assert not {name for name in loaded - loaded_by("import torch") if name.startswith(("torch._dynamo", "sympy"))}
