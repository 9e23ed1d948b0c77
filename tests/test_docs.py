"""What the documentation says: its examples run, its map is that of the house, and nothing it names is missing."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path

import pytest

import workbench as wb
from tests.subjects import vectors_subject
from workbench.steps import KINDS
from workbench.steps.recipe import read_step

ROOT = Path(__file__).parents[1]
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
QUICK = wb.Settings(seconds=0.0, runtimes=("eager",))


def examples(text: str) -> list[str]:
    """Return the blocks of Python in a page."""
    return re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@pytest.fixture
def own_step(tmp_path, monkeypatch):
    """Give the step of CONTRIBUTING.md, out of a file of somebody's own."""
    (example,) = examples(CONTRIBUTING)
    (tmp_path / "clip_weights.py").write_text(example, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    try:
        yield importlib.import_module("clip_weights").ClipWeights
    finally:
        KINDS.remove("clip_weights")


def test_the_method_of_the_contributing_guide_is_one_like_any_other(own_step, tmp_path):
    session = wb.Session(vectors_subject(), QUICK, autosave=None, threaded=False)
    before = {name: value.clone() for name, value in session.state.model.state_dict().items()}
    step = own_step(limit=1.5)

    measured = session.apply(step)
    for layer in session.layers:
        weight = session.state.parameter(layer.parameter)
        limit = 1.5 * before[layer.parameter].std(correction=0)
        assert weight.abs().max() <= limit * (1 + 1e-6)
        assert weight.equal(before[layer.parameter].clamp(-limit, limit))
    assert all(value.equal(before[name]) for name, value in session.subject.model.state_dict().items())
    assert measured.score.exact

    again = wb.Recipe.read(json.loads(json.dumps(session.recipe.facts())))
    assert again.steps == (step,)
    assert type(read_step(step.facts())) is own_step

    table = session.sensitivity(own_step(), amounts=(3.0, 1.0))
    assert table.done
    assert all(point.reason == "" for point in table.points)

    folder = session.export(tmp_path / "out", ("safetensors",))
    model = wb.load_model(folder)
    for name, value in session.state.model.state_dict().items():
        assert model.state_dict()[name].equal(value)
    session.close()


def test_a_step_that_was_removed_is_unknown():
    assert "clip_weights" not in KINDS


@pytest.fixture
def little(images, tmp_path, monkeypatch):
    """Put a small net with layers of the same names in the embedded one's place; what is written goes elsewhere."""
    session = wb.Session
    monkeypatch.setattr(wb, "load", lambda _: images)
    monkeypatch.setattr(wb, "Session", lambda subject, settings=None, **given: session(subject, QUICK, **given))
    monkeypatch.chdir(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.md")), ids=lambda page: page.stem)
def test_examples_run(page, little):
    found = examples(page.read_text(encoding="utf-8"))
    if not found:
        pytest.skip("a page without examples")
    known: dict = {"__name__": page.stem}
    for example in found:
        exec(compile(example, str(page), "exec"), known)  # noqa: S102  # that is what a reader does


def test_the_map_shows_every_room_and_no_other():
    tree = CONTRIBUTING.split("```")[1]
    places: list[str] = []
    for line in tree.strip().splitlines():
        indent, name = re.match(r"( *)(\S*)", line).groups()
        if len(indent) // 2 <= 3 and name:  # deeper lines go on with what the one before says
            places[len(indent) // 2 :] = [name]
            path = ROOT.joinpath(*places)
            assert path.exists() or path.with_suffix(".py").exists(), line
    rooms = {path.parent for path in (ROOT / "workbench").rglob("__init__.py")}
    missing = {room.name for room in rooms if f"{room.name}/ " not in tree.replace("\n", " \n")}
    assert missing == set()


@pytest.mark.parametrize("text", [CONTRIBUTING, README], ids=["CONTRIBUTING", "README"])
def test_files_that_are_named_are_there(text):
    """In links, and in code that looks like a path of the repository."""
    linked = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    named = re.findall(r"`((?:workbench|widgets|tests|docs|notebooks)/[\w/.]+)`", text)
    inside = re.findall(r"`((?:steps|checkpoint|measure)/[\w/.]+)`", text)
    missing = [name for name in (*linked, *named) if name and not (ROOT / name).exists()]
    missing += [name for name in inside if not (ROOT / "workbench" / name).exists()]
    assert missing == []


def test_the_readme_names_every_method():
    assert [step.__name__ for step in KINDS.values() if f"`{step.__name__}`" not in README] == []
