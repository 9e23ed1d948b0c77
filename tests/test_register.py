"""What a user's own file adds: a method, a criterion and a runtime, with no edit anywhere else."""

from __future__ import annotations

import json
from dataclasses import dataclass
from threading import RLock
from typing import ClassVar

import pytest
import torch

import workbench as wb
from widgets.forms import Forms
from workbench.charts import WEIGHT_CHARTS, WeightChart, theme
from workbench.checkpoint.coding import CODINGS, Coding
from workbench.cli.main import main
from workbench.errors import WorkbenchError
from workbench.loading.load import load
from workbench.measure.runtimes import RUNTIMES, Runtime
from workbench.registry import register
from workbench.steps import KINDS, Change, WeightStep
from workbench.steps.option import option
from workbench.steps.prune.importance import CRITERIA, WEIGHT_CRITERIA, WeightCriterion
from workbench.steps.recipe import Recipe, read_step
from workbench.task.batch import outputs_of


@dataclass(frozen=True, kw_only=True)
class Shrink(WeightStep):
    """Pulls all weights towards zero by the same amount; those that would pass it become zero."""

    kind: ClassVar[str] = "shrink"
    title: ClassVar[str] = "Shrink weights"
    summary: ClassVar[str] = "Pulls weights towards zero; the smallest become zero."
    shelf: ClassVar[str] = "Prune"
    strength: ClassVar[str] = "amount"
    amounts: ClassVar[tuple[float, ...]] = (0.01, 0.1)

    amount: float = option(0.05, "How far each weight is pulled.", low=0.0, high=1.0, step=0.01)

    def changes(self, state, context):
        names = [layer.parameter for layer in self.chosen(context.layers(state.model))]
        soft = torch.nn.functional.softshrink
        return {name: Change(soft(state.parameter(name), self.amount), pruned=True) for name in names}


class Smallest(WeightCriterion):
    kind = "smallest"
    title = "Signed value"

    def weights(self, model, parameters, context):
        return {name: model.get_parameter(name).detach().clone() for name in parameters}


class Doubled(Runtime):
    kind = "twice"
    title = "PyTorch, twice over"

    def prepare(self, state, example):
        model = state.model

        def forward(inputs):
            with torch.inference_mode():
                model(*inputs)
                return outputs_of(model, inputs)

        return forward


class Cumulative(WeightChart):
    kind = "cumulative"
    title = "Share of weights up to a value"

    def figure(self, before, after):
        figure = theme.plot(x="weight", y="share")
        for counted in (before, after):
            figure.line(list(counted.edges[1:]), [sum(counted.counts[: n + 1]) for n in range(len(counted.counts))])
        return figure


class Failing(WeightChart):
    kind = "failing"
    title = "A chart with a fault"

    def figure(self, before, after):
        raise ZeroDivisionError("no <b> here")


@pytest.fixture
def mine():
    for thing in (Shrink, Smallest, Doubled, Cumulative, Failing):
        assert register(thing) is thing
    yield
    for registry, kind in ((KINDS, "shrink"), (CRITERIA, "smallest"), (RUNTIMES, "twice"),
                           (WEIGHT_CHARTS, "cumulative"), (WEIGHT_CHARTS, "failing")):  # fmt: skip
        registry.remove(kind)


def test_a_method_is_in_form_command_line_recipe_scan_and_export(mine, vectors, open_session, tmp_path, capsys):
    forms = Forms(KINDS, lambda: None)
    assert forms["shrink"].step == Shrink()
    assert main(["steps", "shrink"]) == 0
    assert "Shrink weights" in capsys.readouterr().out
    again = read_step(json.loads(json.dumps(Shrink(amount=0.02).facts())))
    assert again == Shrink(amount=0.02)
    session = open_session(vectors)
    assert session.sensitivity(Shrink(), tolerance=0.1).done
    measured = session.apply(Shrink(amount=0.1))
    assert measured.nonzero < session.baseline.nonzero
    folder = session.export(tmp_path / "out", ("safetensors",))
    reloaded = load(folder, task=vectors.task)
    inputs = vectors.task.example(8)
    with torch.no_grad():
        torch.testing.assert_close(reloaded.model(*inputs), session.state.model(*inputs))
    assert Recipe.load(folder / "recipe.json").steps == (Shrink(amount=0.1),)
    assert "wb.Shrink(amount=0.1)" in session.code()
    assert wb.Shrink is Shrink, "the code that replays a session has to run"


def test_a_method_is_in_the_panel(mine, vectors, open_session):
    from widgets.views.steps import Steps

    view = Steps(open_session(vectors), RLock())
    view.choose("shrink")
    assert view.form.step == Shrink()
    view.close()


def test_a_criterion_is_offered_by_every_step_that_ranks(mine, vectors, open_session):
    assert "smallest" in WEIGHT_CRITERIA
    for step in (wb.Prune, wb.PruneChannels, wb.PruneGradually):
        (field,) = [one for one in step.options() if one.name == "importance"]
        assert "smallest" in field.choices
    session = open_session(vectors)
    session.apply(wb.Prune(amount=0.5, importance="smallest"))
    before, after = (model.get_parameter("0.weight") for model in (vectors.model, session.state.model))
    assert before[after == 0].max() <= before[after != 0].min()
    contest = session.contest(units="weights", criteria=("smallest", "magnitude"), amounts=(0.3,), tolerance=0.1)
    assert {entry.title for entry in contest.entries} == {"Signed value", "Magnitude (L1)"}


def test_a_runtime_is_measured_beside_the_others(mine, vectors, open_session):
    assert "twice" in wb.Settings().runtimes
    session = open_session(vectors, wb.Settings(seconds=0.02, runtimes=("eager", "twice")))
    assert set(session.apply(wb.Prune()).latency) == {"eager", "twice"}


def test_a_chart_is_drawn_in_the_panel_and_in_the_report(mine, vectors, open_session):
    from widgets.figure import Figure
    from widgets.views.weights import Weights
    from workbench.report.sections.layers import weights

    session = open_session(vectors)
    view = Weights(session, RLock())
    heading, chart, _, failed = view.others.children
    assert "Share of weights" in heading.value
    assert isinstance(chart, Figure)
    assert "could not be drawn: no &lt;b&gt; here" in failed.value, "one that fails is told at its place"
    session.apply(wb.Prune(amount=0.5))
    assert view.others.children[1].figure is not chart.figure
    assert session.error == ""
    view.close()
    (block,) = weights(session.record()).blocks
    (first, _), (second, _) = block.figures[:2]
    assert second == f"{first}, Share of weights up to a value"


def test_a_cell_that_runs_again_replaces_what_it_registered(mine):
    @dataclass(frozen=True, kw_only=True)
    class Other(Shrink):
        title: ClassVar[str] = "Another title"

    Other.__qualname__, Other.__module__ = Shrink.__qualname__, Shrink.__module__
    register(Other)
    assert KINDS["shrink"].title == "Another title"


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (type("Nameless", (WeightCriterion,), {"weights": lambda *_: {}}), "needs a kind"),
        (type("Taken", (WeightCriterion,), {"kind": "magnitude", "title": "x", "weights": lambda *_: {}}), "already"),
        (type("Lacking", (WeightCriterion,), {"kind": "lacking", "title": "x"}), "lacks weights"),
        (int, "must be a class that derives from one of"),
    ],
)
def test_what_cannot_be_registered_is_refused_with_the_reason(bad, why):
    with pytest.raises(WorkbenchError, match=why):
        register(bad)


def test_codings_are_found_by_their_kind():
    assert {"uniform", "codebook", "binary", "ternary"} <= set(CODINGS)
    assert all(issubclass(coding, Coding) for coding in CODINGS.values())


def test_a_package_that_fails_is_left_out_and_told(monkeypatch, caplog):
    class Broken:
        name, value = "broken", "a_package:steps"

        def load(self):
            raise ZeroDivisionError

    monkeypatch.setattr("workbench.registry.entry_points", lambda group: [Broken()])
    monkeypatch.setattr("workbench.registry._loaded", False)
    assert "prune" in list(KINDS)
    assert "broken of the package a_package:steps was left out" in caplog.text
