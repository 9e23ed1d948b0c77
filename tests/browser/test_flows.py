"""What people do with a panel, and with a notebook that holds one."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.driving import (
    EXACT,
    PATIENCE,
    VIEW,
    figures,
    load_again,
    place,
    run_code,
    save,
    settled,
    slider,
    tab,
    tile,
)
from tests.browser.lab import SHARED, Lab
from tests.sampling import whole

pytestmark = pytest.mark.browser


def amount(page: Page, presses: int) -> None:
    """Move the slider of the amount by keys, a hundredth each."""
    slider(page, "amount").focus()
    for _ in range(presses):
        page.keyboard.press("ArrowRight")


def first_scan(page: Page) -> None:
    """Scan three layers at one strength."""
    tab(page, "Table")
    page.locator(".wb-layers input").fill("layer3.*")
    tab(page, "Sensitivity")
    page.locator(".widget-text", has=page.locator("label", has_text="strengths")).locator("input").fill("0.5")
    page.get_by_role("button", name="Scan").click()
    cancel = page.get_by_role("button", name="Cancel")
    page.locator(".wb-figure").locator("visible=true").first.wait_for(timeout=PATIENCE)
    expect(cancel).to_be_hidden(timeout=PATIENCE)


@whole
def test_a_cell_of_the_scan_is_previewed_by_a_click(panel: Page) -> None:
    first_scan(panel)
    x, y = place(panel, "drop", 2)
    panel.mouse.click(x, y)
    expect(panel.locator(".wb-preview")).to_be_visible(timeout=PATIENCE)
    target, layers, strength = run_code(
        panel, "print(session.table.points[2].target, session.draft.layers, session.staged.step.amount)"
    ).split()
    assert layers == target
    assert strength == "0.5"


@whole
def test_a_preset_fills_the_plan_and_runs(panel: Page) -> None:
    panel.get_by_role("button", name="Presets and plans").click()
    panel.locator(".widget-dropdown", has=panel.locator("label", has_text="preset")).locator("select").select_option(
        label="4 × smaller"
    )
    run = panel.locator(".wb-panel").get_by_role("button", name="Run the plan")
    expect(run).to_be_enabled(timeout=PATIENCE)
    run.click()
    expect(panel.locator(".wb-state", has_text="state")).to_be_visible(timeout=PATIENCE)
    shown = tile(panel, "File size").locator("p").inner_text()
    times = re.match(r"([\d.]+) × smaller", shown)
    assert times is not None, shown
    assert float(times[1]) >= 4
    sizes = run_code(panel, "print(session.baseline.bytes.total / session.current.bytes.total)")
    assert float(sizes) == pytest.approx(float(times[1]), abs=0.01)


@whole
def test_a_report_is_written(panel: Page, lab: Lab) -> None:
    tab(panel, "Export")
    box = panel.locator(".widget-text", has=panel.locator("label", has_text=re.compile("^file$"))).locator("input")
    box.fill("out/flow.txt")
    box.press("Enter")
    panel.get_by_role("button", name="Report").click()
    expect(panel.locator(".wb-error").locator("visible=true").first).to_contain_text(".html", timeout=PATIENCE)
    box.fill("out/flow.md")
    box.press("Enter")
    panel.get_by_role("button", name="Report").click()
    expect(panel.locator(".wb-done")).to_contain_text("out/flow.md", timeout=PATIENCE)
    assert "digits-resnet" in (lab.folder / "out" / "flow.md").read_text()
    assert run_code(panel, "print(session.saved_to, repr(session.error))") == "out/flow.md ''"


def test_states_are_cards_to_name_to_go_to_and_to_compare(panel: Page) -> None:
    panel.get_by_role("button", name="Apply").click()
    state = panel.locator(".wb-state", has_text="state 1")
    expect(state).to_be_visible(timeout=PATIENCE)
    panel.get_by_role("button", name="name and note of state 1").click()
    panel.get_by_label("name of state 1").fill("half of it")
    panel.keyboard.press("Enter")
    card = panel.locator(".wb-card", has_text="half of it")
    expect(card).to_be_visible(timeout=PATIENCE)
    for number in (0, 1):
        panel.get_by_label(f"compare state {number}").check()
    panel.get_by_role("button", name="set the ticked states side by side").click()
    expect(panel.get_by_role("table", name="numbers of states")).to_contain_text(
        "state 1: half of it", timeout=PATIENCE
    )
    expect(panel.locator(".wb-diff .wb-new")).to_contain_text("+ Prune()")
    panel.get_by_role("button", name="go to state 0").click()
    expect(panel.locator(".wb-state", has_text="the untouched subject")).to_be_visible(timeout=PATIENCE)
    kernel = run_code(panel, "print(session.history.at, session.compared, session.labels[1].name)")
    assert kernel == "0 (0, 1) half of it"


def test_a_reloaded_page_shows_the_preview_and_is_alive(panel: Page) -> None:
    amount(panel, 20)
    score = tile(panel, "Top-1 accuracy")
    before = settled(panel, 0.7)
    save(panel)
    load_again(panel)
    expect(panel.locator(".wb-preview")).to_be_visible(timeout=PATIENCE)
    expect(score.locator("b")).to_have_text(before, timeout=PATIENCE)
    panel.locator(".wb-figure .bk-Canvas").first.wait_for(timeout=PATIENCE, state="attached")
    panel.wait_for_function("() => window.Bokeh?.documents.length")
    assert figures(panel)
    panel.get_by_role("button", name="Discard").click()
    expect(panel.locator(".wb-preview")).to_be_hidden(timeout=PATIENCE)
    panel.get_by_text("| Idle").wait_for(timeout=PATIENCE)
    assert run_code(panel, "print(session.staged, len(session.history.nodes))") == "None 1"


@whole
def test_two_tabs_on_one_session_agree(panel: Page, browser: Browser, lab: Lab) -> None:
    save(panel)
    other = browser.new_page(viewport=VIEW)
    load_again(other, lab.again(SHARED))
    expect(tile(other, "File size")).to_be_visible(timeout=PATIENCE)
    readouts = [page.locator(".widget-readout").locator("visible=true").first for page in (panel, other)]
    amount(other, 20)
    expect(readouts[0]).to_have_text("0.70", timeout=PATIENCE)
    shown = settled(panel, 0.7)
    expect(tile(other, "Top-1 accuracy").locator("b")).to_have_text(shown, timeout=PATIENCE)
    panel.get_by_role("button", name="Apply").click()
    for page in (panel, other):
        expect(page.locator(".wb-state", has_text="state 1")).to_be_visible(timeout=PATIENCE)
    shown = [page.locator(".wb-tiles").inner_text() for page in (panel, other)]
    assert shown[0] == shown[1]
    other.close()
    assert run_code(panel, "print(len(session.history.nodes), session.error)") == "2"


COUNT = """import threading
def watchers():
    return sum(len(heard) for kinds in session._trait_notifiers.values() for heard in kinds.values())
def workers():
    return sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("workbench"))
print(watchers(), len(workers()))"""


@whole
def test_a_cell_run_again_and_a_closed_panel_leave_nothing_behind(panel: Page) -> None:
    amount(panel, 5)
    expect(tile(panel, "Top-1 accuracy").locator("p")).to_contain_text(EXACT, timeout=PATIENCE)
    first = run_code(panel, COUNT)
    cell = panel.locator(".jp-Notebook .jp-Cell", has=panel.locator(".wb-panel"))
    cell.locator(".cm-content").first.fill("Panel(session)")
    for _ in range(2):
        old = panel.locator(".wb-panel").element_handle()
        cell.locator(".cm-content").first.press("Shift+Enter")
        panel.wait_for_function("(old) => !old.isConnected && document.querySelector('.wb-tile')", arg=old)
    panel.get_by_text("| Idle").wait_for(timeout=PATIENCE)
    run_code(panel, "panel.close()")  # the very first one, which was shown in that cell too
    assert run_code(panel, "print(watchers(), len(workers()))") == first
    gone = run_code(panel, "Out[max(Out)].close(); session.close(); print(watchers(), workers())")
    assert gone == "0 []"
    expect(panel.locator(".wb-tile")).to_have_count(0)


def test_a_notebook_without_its_kernel_shows_the_last_state(panel: Page, browser: Browser, lab: Lab) -> None:
    panel.get_by_role("button", name="Apply").click()
    expect(panel.locator(".wb-state", has_text="state 1")).to_be_visible(timeout=PATIENCE)
    still = panel.locator(".wb-snapshot")
    expect(still).to_contain_text("state 1", timeout=PATIENCE)
    expect(still).to_be_hidden()
    shown = tile(panel, "Top-1 accuracy").locator("b").inner_text()
    save(panel)
    stored = (lab.folder / SHARED).read_text()
    assert len(stored) < 200_000
    (lab.folder / "kept.ipynb").write_text(json.dumps(_without_kernel(json.loads(stored))))
    other = browser.new_page()
    other.goto(lab.again("kept.ipynb"))
    still = other.locator(".wb-snapshot")
    expect(still).to_be_visible(timeout=PATIENCE)
    expect(still).to_contain_text(shown)
    expect(still.locator("pre")).to_contain_text("Prune(")
    other.close()


def _without_kernel(notebook: dict) -> dict:
    """Name a kernel that nobody has, so that none is started."""
    notebook["metadata"]["kernelspec"] = {"display_name": "none", "language": "python", "name": "no-such-kernel"}
    return notebook
