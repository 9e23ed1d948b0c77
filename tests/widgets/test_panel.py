"""The panel without a browser: set state and controls follow; set a control and state follows."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import pytest
from bokeh.models import BoxAnnotation

from tests.conftest import QUICK
from widgets import Panel
from workbench.jobs.jobs import Job
from workbench.model.subject import Subject
from workbench.session.session import Session
from workbench.steps import KINDS
from workbench.steps.recipe import Recipe
from workbench.task import device


@pytest.fixture
def panel(session: Session) -> Panel:
    return Panel(session)


def test_a_new_panel_shows_the_baseline(panel: Panel, session: Session) -> None:
    assert session.error == ""
    assert 0 in session.measurements
    assert "untouched subject" in panel.tiles.state.value
    assert f"all {session.baseline.score.total:,} validation samples" in panel.tiles.html.value
    assert [row["name"] for row in panel.layers.root.rows] == [layer.name for layer in session.layers]


def test_moving_a_slider_previews_and_apply_puts_it_into_the_history(panel: Panel, session: Session) -> None:
    panel.steps.form.controls["amount"].value = 0.8
    assert session.staged is not None
    assert session.staged.step.amount == 0.8
    assert len(session.history.nodes) == 1
    assert "wb-preview" in panel.tiles.state.value
    panel.steps.apply.click()
    assert session.staged is None
    assert session.recipe.steps[0].amount == 0.8
    assert "state 1" in panel.tiles.state.value
    kept = {row["name"]: row["kept"] for row in panel.layers.root.rows}
    assert kept["conv2"] == pytest.approx(0.2, abs=0.01)


def test_taking_back_a_preview_leaves_nothing(panel: Panel, session: Session) -> None:
    panel.steps.form.controls["amount"].value = 0.8
    panel.steps.back.click()
    assert session.staged is None
    assert "untouched subject" in panel.tiles.state.value
    assert panel.steps.back.disabled


def test_the_selection_goes_both_ways_without_a_loop(panel: Panel, session: Session) -> None:
    seen = []
    session.observe(lambda change: seen.append(change.new), "selection")
    panel.layers.root.selection = ["conv2", "fc"]
    assert session.selection == ("conv2", "fc")
    assert panel.steps.form.controls["layers"].value == "conv2, fc"
    session.selection = ("conv1",)
    assert panel.layers.root.selection == ["conv1"]
    assert seen == [("conv2", "fc"), ("conv1",)]


def test_undo_redo_reset_and_branches(panel: Panel, session: Session) -> None:
    panel.steps.apply.click()
    assert panel.tools.redo.disabled
    panel.tools.undo.click()
    assert session.history.at == 0
    assert panel.tools.undo.disabled
    panel.tools.redo.click()
    assert session.history.at == 1
    panel.states.receive({"go": 0})
    assert session.history.at == 0
    panel.tools.undo.click()
    assert session.error == "there is nothing to undo"
    assert "nothing to undo" in panel.work.root.error


def test_two_panels_on_one_session_agree(panel: Panel, session: Session) -> None:
    other = Panel(session)
    panel.steps.form.controls["amount"].value = 0.6
    assert other.tiles.html.value == panel.tiles.html.value
    other.steps.apply.click()
    assert panel.states.root.rows == other.states.root.rows
    assert len(panel.states.root.rows) == 2


def test_a_closed_panel_watches_nothing(panel: Panel, session: Session) -> None:
    before = panel.tiles.html.value
    panel.close()
    session.apply(KINDS["prune"](amount=0.9))
    assert panel.tiles.html.value == before


def test_a_step_that_cannot_be_done_is_told_at_its_place(panel: Panel, session: Session) -> None:
    panel.steps.form.controls["layers"].value = "nosuch*"
    assert "no layer matches" in panel.steps.message.value
    panel.steps.apply.click()
    assert "no layer matches" in panel.work.root.error
    panel.work.receive({"dismiss": "error"})
    assert session.error == ""
    assert len(session.history.nodes) == 1


def test_a_scan_fills_map_and_curves(panel: Panel, session: Session) -> None:
    assert panel.sensitivity.charts.layout.display == "none"
    panel.sensitivity.strengths.value = "0.5, 0.9"
    panel.sensitivity.tolerance.value = 5
    panel.sensitivity.scan.click()
    assert session.table is not None
    assert session.table.done
    assert panel.sensitivity.charts.layout.display == ""
    assert panel.sensitivity.map_figure.changed
    panel.sensitivity.strengths.value = "half"
    panel.sensitivity.scan.click()
    assert "strengths are numbers" in session.error


def test_the_histogram_shows_grid_or_threshold(panel: Panel, session: Session) -> None:
    session.selection = ("conv2",)
    panel.steps.form.controls["amount"].value = 0.7
    assert panel.weights.chart.cut.visible
    assert "70 % zeros" in panel.weights.title.value
    panel.steps.choose("quantize")
    assert not panel.weights.chart.cut.visible
    panel.steps.form.controls["granularity"].value = "tensor"
    panel.steps.form.controls["bits"].value = 3
    # Of -3 … 3 times the scale, the side with the largest weight reaches its end, the other need not.
    assert 4 <= len(panel.weights.chart.grid.data["x"]) <= 7
    assert "3 bits" in panel.weights.title.value


def drag(panel: Panel, box: BoxAnnotation, left: float, right: float) -> None:
    """Do what a page does while an edge of a box is dragged."""
    panel.weights.figure.receive({"page": "a", "number": 1, "moved": {box.id: {"left": left, "right": right}}})


def test_dragging_the_threshold_sets_the_amount_and_previews(panel: Panel, session: Session) -> None:
    session.selection = ("conv2",)
    assert session.staged is None
    weight = session.subject.model.get_parameter("conv2.weight").detach().abs().flatten()
    middle = float(weight.median())
    drag(panel, panel.weights.chart.cut, -middle, middle)
    assert session.staged is not None
    assert panel.steps.form.controls["amount"].value == session.staged.step.amount == pytest.approx(0.5, abs=0.011)
    assert panel.weights.chart.cut.right == pytest.approx(middle, rel=0.1)
    panel.steps.form.controls["amount"].value = 0.9
    assert panel.weights.chart.cut.right == pytest.approx(float(weight.quantile(0.9)), rel=0.1)
    assert panel.weights.figure.changed[panel.weights.chart.cut.id]["right"] == panel.weights.chart.cut.right


def test_dragging_the_range_of_a_grid_sets_its_percentile(panel: Panel, session: Session) -> None:
    session.selection = ("conv2",)
    panel.steps.choose("quantize")
    clip = panel.weights.chart.clip
    assert clip.visible
    drag(panel, clip, clip.left * 0.7, clip.right * 0.7)
    assert session.draft.ranges == "percentile"
    assert session.draft.percentile < 100
    assert panel.steps.form.controls["ranges"].value == "percentile"
    panel.steps.form.controls["granularity"].value = "group"
    assert not clip.visible


def test_a_draft_from_elsewhere_moves_the_controls(panel: Panel, session: Session) -> None:
    other = Panel(session)
    session.preview(KINDS["quantize"](bits=3, layers="fc"))
    for shown in (panel, other):
        assert shown.steps.kind.value == "quantize"
        assert shown.steps.form.step == session.draft
    panel.steps.kind.receive({"value": "fine_tune"})
    assert session.staged is None
    assert other.steps.kind.value == "fine_tune"
    panel.steps.kind.receive({"value": "quantize"})
    assert session.draft.bits == 3, "a form is shown as it was left"


def test_a_budget_is_suggested_edited_and_applied(panel: Panel, session: Session) -> None:
    budget = panel.budget
    assert [row["name"] for row in budget.bars.rows] == [layer.name for layer in session.layers]
    budget.take.click()
    assert "nothing is suggested" in session.error
    panel.sensitivity.strengths.value = "0.2, 0.6"
    panel.sensitivity.scan.click()
    budget.drop.value = 100  # more than there is to lose
    assert budget.bars.ghosts == {layer.name: 0.6 for layer in session.layers}
    budget.take.click()
    assert budget.bars.values == budget.bars.ghosts
    assert "points from single drops, measured together" in budget.message.value
    assert session.staged is not None, "one strength for all is one step, which is previewed"
    budget.bars.receive({"values": {"conv1": 0.2, "fc": "0.5"}})
    budget.bars.receive({"rows": []})
    assert budget.bars.values == budget.bars.ghosts, "what is no strength changes nothing"
    budget.bars.receive({"values": {"conv1": 0.2, "fc": 0.5}})
    budget.apply.click()
    assert session.error == ""
    kept = {row["name"]: row["kept"] for row in panel.layers.root.rows}
    assert kept["conv1"] == pytest.approx(0.8, abs=0.02)
    assert kept["fc"] == pytest.approx(0.5, abs=0.02)
    assert kept["conv2"] == 1
    assert session.history.at in session.measurements
    assert budget.bars.values == {}
    budget.kind.value = "prune_channels"
    assert budget.bars.rows == []
    assert "first" in budget.words.value


def test_a_preset_is_shown_changed_and_run(panel: Panel, session: Session) -> None:
    panel.plan.run.click()
    assert "plan is empty" in session.error
    panel.plan.preset.value = "smaller"
    assert session.plan[0].kind == "quantize"
    assert "measured together: " in panel.plan.about.value
    panel.plan.list.index = 0
    panel.plan.edit.click()
    assert panel.steps.kind.value == "quantize"
    panel.steps.form.controls["bits"].value = 3
    panel.plan.update.click()
    panel.steps.choose("correct_bias")
    panel.plan.add.click()
    assert "bits=3" in panel.plan.list.options[0][0]
    count = len(session.plan)
    panel.plan.run.click()
    assert session.error == ""
    assert len(session.recipe.steps) == count
    panel.plan.list.index = 0
    panel.plan.remove.click()
    assert len(session.plan) == count - 1


def test_a_preview_reaches_the_layer_table_and_the_small_histograms(panel: Panel, session: Session) -> None:
    panel.all_weights.root.button.value = True
    assert [row["name"] for row in panel.all_weights.histograms.rows] == [layer.name for layer in session.layers]
    panel.all_weights.histograms.selection = ["conv2"]
    assert session.selection == ("conv2",)
    panel.steps.form.controls["amount"].value = 0.75
    assert panel.layers.root.preview["conv2"] == [pytest.approx(0.25, abs=0.01), "32"]
    assert panel.layers.root.preview["conv1"] == [1.0, "32"]
    assert set(panel.all_weights.histograms.after) == {"conv2"}
    panel.steps.back.click()
    assert panel.layers.root.preview == {}
    assert panel.all_weights.histograms.after == {}


def test_keys_do_what_the_buttons_do(panel: Panel, session: Session) -> None:
    panel.shortcuts.receive({"act": "undo"})
    assert session.error == "", "what is disabled has no key"
    panel.steps.form.controls["amount"].value = 0.8
    panel.shortcuts.receive({"act": "back"})
    assert session.staged is None
    panel.shortcuts.receive({"act": "apply"})
    assert session.history.at == 1
    panel.shortcuts.receive({"act": "undo"})
    panel.shortcuts.receive({"act": "nosuch"})
    assert session.history.at == 0
    panel.shortcuts.receive({"act": "redo"})
    assert session.history.at == 1
    assert panel.tiles.html.value.count("wb-trace") >= 6, "two states make a line"


def test_a_cell_is_previewed_and_a_point_is_gone_to(panel: Panel, session: Session) -> None:
    panel.sensitivity.strengths.value = "0.2, 0.6"
    panel.sensitivity.scan.click()
    cells = panel.sensitivity.map.source
    tap = {"page": "a", "number": 1, "moved": {cells.selected.id: {"indices": [1]}}}
    panel.sensitivity.map_figure.receive(tap)
    assert (session.staged.step.layers, session.staged.step.amount) == ("conv1", 0.6)
    assert panel.steps.form.controls["amount"].value == 0.6
    panel.steps.apply.click()
    points = panel.trade_off.chart.source
    panel.trade_off.figure.receive({"page": "a", "number": 1, "moved": {points.selected.id: {"indices": [0]}}})
    assert session.history.at == 0


def test_who_pays_is_shown_with_samples_and_what_the_model_looks_at(panel: Panel, session: Session) -> None:
    view = panel.who_pays
    view.look.click()
    assert "untouched subject" in session.error
    panel.steps.form.controls["amount"].value = 0.9
    view.look.click()
    assert session.error == ""
    assert "after the preview" in view.of.value
    assert "look again" not in view.of.value
    impact = session.impact(session.staged.step)
    assert len(view.chart.source.data["change"]) == 4
    assert [row["number"] for row in view.cards.rows] == [sample.number for sample in impact.samples[:60]]
    assert view.cards.rows[0]["picture"].startswith("data:image/png;base64,")
    view.which.value = "won"
    won = sum(sample.result_after > sample.result_before for sample in impact.samples)
    assert f"{won} samples" in view.count.value
    view.which.value = "all"
    tapped = {"page": "a", "number": 1, "moved": {view.chart.source.selected.id: {"indices": [0]}}}
    view.figure.receive(tapped)
    worst = view.chart.source.data["label"][0]
    assert view.label.value == worst
    assert {sample.target for sample in view._chosen()} <= {worst}
    view.cards.chosen = view.cards.rows[0]["number"]
    assert view.looked.value.count("<img") == 3
    assert "cosine" in view.looked.value
    panel.steps.back.click()
    assert "look again" in view.of.value


def test_samples_without_class_or_picture_are_shown_as_numbers(
    regression: Subject, open_session: Callable[..., Session]
) -> None:
    session = open_session(regression)
    panel = Panel(session)
    session.apply(KINDS["prune"](amount=0.8))
    panel.who_pays.look.click()
    assert session.error == ""
    assert panel.who_pays.figure.layout.display == "none"
    assert panel.who_pays.cards.rows[0]["picture"] == ""
    panel.who_pays.cards.chosen = panel.who_pays.cards.rows[0]["number"]
    assert "<table>" in panel.who_pays.looked.value


def test_the_code_does_the_session_again_and_a_recipe_is_loaded(
    panel: Panel, session: Session, open_session: Callable[..., Session]
) -> None:
    session.apply(KINDS["prune"](amount=0.8))
    session.apply(KINDS["quantize"](bits=4))
    assert panel.code.python.text == session.code()
    assert "session.apply(wb.Prune(amount=0.8))" in panel.code.python.text
    assert json.loads(panel.code.json.text) == session.recipe.facts()
    assert ["number", "0.8"] in panel.code.python.runs

    other = open_session(session.subject)
    view = Panel(other).code
    view.load.click()
    assert "nothing to load" in view.message.value
    for text, told in (("{", "no JSON"), ("[1]", "no recipe"), (panel.code.json.text.replace("prune", "x"), "step 1")):
        view.pasted.value = text
        view.load.click()
        assert told in view.message.value
        assert (view.pasted.value, len(other.history.nodes), other.error) == (text, 1, "")
    view.pasted.value = json.dumps(Recipe((KINDS["prune"](layers="conv9"),)).facts())
    view.load.click()
    assert "no layer matches" in view.message.value
    assert len(other.history.nodes) == 1
    view.pasted.value = panel.code.json.text
    view.load.click()
    assert "loaded: state 2" in view.message.value
    assert other.recipe == session.recipe


def test_channels_are_cut_by_hand(panel: Panel, session: Session) -> None:
    view = panel.structure
    session.selection = ("conv2",)
    view.look.click()
    assert session.error == ""
    assert view.strip.order == list(range(16))
    assert max(view.strip.heights) == 1
    view.order.value = "importance"
    assert [view.strip.heights[number] for number in view.strip.order] == sorted(view.strip.heights)
    view.strip.receive({"cut": [1, 2, 5]})
    step = KINDS["cut_channels"](layers="conv2", channels="1-2, 5")
    assert session.draft == session.staged.step == step
    assert panel.steps.form.controls["channels"].value == "1-2, 5"
    panel.steps.form.controls["channels"].value = "7"
    assert view.strip.cut == [7]
    view.apply.click()
    assert session.recipe.steps[0] == replace(step, channels="7")
    assert session.state.model.conv2.out_channels == 15
    assert "look again" in view.title.value
    view.strip.cut = [3]
    assert "another state" in session.error
    session.selection = ("fc",)
    view.look.click()
    assert view.strip.fixed
    assert "must stay" in view.words.value


def test_states_are_set_against_a_cost_and_compared(panel: Panel, session: Session) -> None:
    board, compare = panel.trade_off, panel.compare
    assert "Tick two or more" in compare.numbers.hint
    session.apply(KINDS["prune"](amount=0.7))
    session.undo()
    session.apply(KINDS["prune_channels"](amount=0.5))
    assert board.chart.source.data["number"] == [0, 1, 2]
    files = board.chart.source.data["x"]
    board.cost.value = ("MACs", "")
    assert board.chart.source.data["x"] != files
    board.cost.value = ("time", "eager")
    assert board.chart.source.data["x"][0] == pytest.approx(1, abs=0.5)
    assert "part of the baseline" in board.chart.figure.xaxis.axis_label

    panel.states.receive({"compare": [1, 2]})
    panel.states.receive({"show": True})
    assert panel.tabs.titles[panel.tabs.selected_index] == "Compare"
    assert compare.numbers.heads == ["quantity", "state 1", "state 2"]
    assert "− Prune(amount=0.7)" in compare.steps.value
    assert "+ PruneChannels()" in compare.steps.value, "what is the default is not said"
    compare.look.click()
    assert session.error == ""
    assert "conv2" in [row[0] for row in compare.layers.rows]
    assert "worse than in state 1" in [row[0] for row in compare.flips.rows]
    flipped = session.impact(number=1).samples
    lost = sum(sample.result_after < sample.result_before for sample in flipped)
    assert f"{lost:,}" in compare.flips.rows[0]


def test_a_state_has_a_name_a_star_and_a_note_which_are_saved(panel: Panel, session: Session) -> None:
    session.apply(KINDS["prune"](amount=0.7))
    session.undo()
    panel.states.receive({"label": 1, "name": "small", "note": "for the watch", "star": True})
    row = panel.states.root.rows[1]
    assert (row["name"], row["note"], row["star"], row["deletable"]) == ("small", "for the watch", True, True)
    panel.states.receive({"compare": [0, 1]})
    panel.states.receive({"label": 0, "deleted": True})
    assert "untouched subject stay" in session.error
    panel.states.receive({"label": 1, "deleted": True})
    assert [row["number"] for row in panel.states.root.rows] == [0]
    assert session.compared == (0,)
    session.go(1)
    assert [row["number"] for row in panel.states.root.rows] == [0, 1], "where one stands is always seen"


def test_the_map_folds_colours_and_chooses(panel: Panel, session: Session) -> None:
    shown = panel.map.root
    assert [box["name"] for box in shown.drawing["boxes"] if box["layers"]] == [layer.name for layer in session.layers]
    assert shown.count == len(session.layers)
    shown.selection = ["conv2"]
    assert session.selection == ("conv2",)
    panel.map.receive({"quantity": "kept"})
    panel.steps.form.controls["amount"].value = 0.75
    share, words, staged = shown.colors["boxes"]["conv2"]
    assert (share, words, staged) == (pytest.approx(0.25, abs=0.01), "25 % kept", True)
    assert shown.colors["boxes"]["conv1"][2] is False
    panel.steps.back.click()
    assert shown.colors["boxes"]["conv2"] == [1.0, "100 % kept", False]
    panel.map.receive({"quantity": "time"})
    assert session.error == ""
    assert set(shown.colors["boxes"]) == {layer.name for layer in session.layers}
    panel.map.receive({"quantity": "nosuch"})
    panel.map.receive({"fold": "nosuch"})
    assert shown.colors["title"] == "time"


def test_a_preview_that_is_applied_keeps_its_score(panel: Panel, session: Session, monkeypatch) -> None:
    panel.steps.form.controls["amount"].value = 0.8
    found = session.staged.score
    assert found.exact
    monkeypatch.setattr("workbench.measure.measurement.score", lambda *_: pytest.fail("scored again"))
    panel.steps.apply.click()
    assert session.error == ""
    assert session.current.score == found


def test_a_contest_is_held(panel: Panel, session: Session) -> None:
    view = panel.contest
    assert view.charts.layout.display == "none"
    view.amounts.value = "half"
    view.hold.click()
    assert "parts are numbers" in session.error
    session.selection = ("conv2",)
    view.amounts.value, view.tolerance.value = "0.5", 10
    view.hold.click()
    assert session.error == ""
    assert [name for name, _ in session.standings.parts] == ["conv2"]
    assert view.charts.layout.display == ""
    assert session.standings.order[0].title in view.words.value
    assert len(view.curves.lines.data["label"]) == len(session.standings.order)


def test_training_draws_its_curves(panel: Panel, session: Session) -> None:
    panel.steps.choose("fine_tune")
    panel.steps.form.controls["epochs"].value = 1
    panel.steps.apply.click()
    assert session.error == ""
    assert panel.training.figures["loss"].layout.display == ""
    assert panel.training.figures["loss"].changed
    assert panel.training.charts["loss"].source.data["x"][-1] == 1.0, "the axis is that of the training alone"
    assert len(panel.training.charts["score"].best.data["x"]) == 1
    assert "(the star)" in panel.training.words.value
    before = session.curve
    session.start("Something else", session.measure)
    session.apply(KINDS["prune"](amount=0.2))
    assert session.curve == before, "other work leaves the curves"
    panel.steps.form.controls["epochs"].value = 2
    panel.steps.apply.click()
    assert len([news for news in session.curve if news[1] == "score"]) == 2


def test_names_are_text_and_never_html(images: Subject) -> None:
    hostile = Subject("<img src=x onerror=alert(1)>", images.model, images.task)
    session = Session(hostile, QUICK, threaded=False, autosave=None)
    panel = Panel(session)
    session.error = "<script>alert(1)</script>"
    pages = [panel.tiles.html.value, panel.tiles.state.value, panel.subject.facts.value]
    assert not any("<script" in page or "<img" in page for page in pages)
    assert "/" not in panel.files.folder.value.removeprefix("out/")


def test_another_subject_gets_a_new_session(panel: Panel, session: Session) -> None:
    panel.subject.what.value = "nosuch-model"
    panel.subject.open.click()
    assert "is not known" in session.error
    running = Job(7, "Train", "running")
    session.jobs = (running,)
    panel.subject.choice.value = "digits-transformer"
    assert panel.session is session
    assert "Train" in panel.subject.question.value
    panel.subject.stay.click()
    assert panel.subject.choice.value == session.subject.name
    session.jobs = ()
    panel.subject.choice.value = "digits-transformer"
    assert panel.session is not session
    assert panel.session.subject.name == "digits-transformer"
    panel.session.close()


def test_a_threaded_session_leaves_no_thread_behind(images: Subject) -> None:
    before = threading.active_count()
    session = Session(images, QUICK, autosave=None)
    panel = Panel(session)
    for number in range(30):
        panel.steps.form.controls["amount"].value = 0.1 + number / 50
    session.close()
    panel.close()
    assert threading.active_count() == before


def test_a_click_while_the_baseline_is_scored_blocks_nobody(images: Subject) -> None:
    """The worker shows progress while it holds what it needs; a view is drawn while it holds the panel's lock."""
    session = Session(images, QUICK, autosave=None)
    panel = Panel(session)
    for number in range(200):
        session.selection = ("conv1",) if number % 2 else ("conv2",)
        panel.steps.form.controls["amount"].value = 0.1 + number / 400
    done = threading.Event()
    threading.Thread(target=lambda: (session.close(), done.set()), daemon=True).start()
    assert done.wait(60), "two threads wait for each other"
    panel.close()


def test_a_cell_that_runs_again_takes_its_earlier_panels_off(session: Session, monkeypatch) -> None:
    shell = SimpleNamespace(parent=("cell", "run 1"))
    shell.get_parent = lambda: {"metadata": {"cellId": shell.parent[0]}, "header": {"msg_id": shell.parent[1]}}
    monkeypatch.setattr("widgets.panel.get_ipython", lambda: shell)
    monkeypatch.setattr("widgets.panel.display", lambda *_, **__: None)

    def shown() -> Panel:
        made = Panel(session)
        made._ipython_display_()
        return made

    def alive(panel: Panel) -> bool:
        return panel.comm is not None

    first, second = shown(), shown()
    assert alive(first), "two panels of one run are both meant"
    shell.parent = ("another cell", "run 2")
    shown()
    assert alive(first)
    shell.parent = ("cell", "run 3")
    third = shown()
    assert [alive(panel) for panel in (first, second, third)] == [False, False, True]
    assert third.layers.root.comm is not None
    assert first.layers.root.comm is None, "a closed panel keeps no widget of its own alive"


def test_a_device_is_a_word_or_a_menu(session: Session, monkeypatch) -> None:
    panel = Panel(session)
    assert panel.subject.device.layout.display == "none"
    assert panel.work.root.idle.startswith("cpu, ")
    monkeypatch.setitem(device._COUNTS, "mps", lambda: 1)
    panel = Panel(session)
    assert [name for _, name in panel.subject.device.options] == ["cpu", "mps:0"]
    assert "cpu" not in panel.work.root.idle
    asked = []
    monkeypatch.setattr(panel.subject, "_opened", lambda subject, name: asked.append((subject, name)))
    panel.subject.device.value = "mps:0"
    assert asked == [(session.subject, "mps:0")]
    panel.close()
