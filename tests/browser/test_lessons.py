"""A lesson as a learner meets it: predict, run, see what became of it; by mouse and by keys."""

from __future__ import annotations

import json
import re
from pathlib import Path

import nbformat
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.driving import PATIENCE, run_code
from tests.browser.lab import Lab
from workbench.lessons.course import lesson
from workbench.lessons.source import notebook, read

pytestmark = pytest.mark.browser
SOURCES = Path(__file__).parents[2] / "lessons"
# What takes a minute is tried without a browser; these cells of lesson 2 ask all kinds of questions.
SHORT = re.compile(r"CourseNotebook|^import torch|predict\(\"(small|half|curve)\"\)")


def short_lesson(lab: Lab) -> str:
    """Write the first cells of lesson 2 beside the other notebooks, and return their name."""
    one = lesson("pruning")
    made = nbformat.reads(notebook(one, read(SOURCES / f"{one.key}.py"), solutions=True), as_version=4)
    made.cells = [cell for cell in made.cells if SHORT.search(cell.source) and "BEGIN" not in cell.source]
    nbformat.write(made, lab.folder / f"{one.name}.ipynb")
    return f"{one.name}.ipynb"


def run_all(page: Page) -> None:
    page.locator(".lm-MenuBar-itemLabel", has_text="Run").first.click()
    page.get_by_text("Run All Cells", exact=True).click()


def card(page: Page, words: str):
    return page.locator(".wbl-card", has_text=words)


def test_predict_run_and_see(page: Page, lab: Lab) -> None:
    name, source = short_lesson(lab), read(SOURCES / "pruning.py")
    page.goto(lab.again(name))
    page.get_by_text("| Idle").wait_for(timeout=PATIENCE)
    run_all(page)
    small, half, curve = (
        card(page, "tenth of its largest"),
        card(page, "Half of all weights"),
        card(page, "Sketch the accuracy"),
    )
    expect(curve).to_be_visible(timeout=PATIENCE)

    number = small.get_by_role("spinbutton")
    expect(small.get_by_role("button", name="This is my prediction")).to_be_disabled()
    number.fill("10")
    small.get_by_role("button", name="This is my prediction").click()
    expect(small).to_contain_text("Kept.")
    (reveal,) = (cell.source for cell in source if 'reveal("small"' in cell.source)
    run_code(page, reveal)
    told = page.locator(".wbl-reveal")
    expect(told).to_contain_text("You thought of weights that spread evenly")
    expect(told).to_contain_text("31.4 %")
    expect(small).to_contain_text("Not so")
    page.locator(".wb-figure .bk-Canvas").last.wait_for(timeout=PATIENCE, state="attached")

    half.locator("input").nth(0).focus()
    page.keyboard.press("ArrowDown")  # the second one
    page.keyboard.press("ArrowDown")
    half.get_by_role("button", name="This is my prediction").click()
    expect(half).to_contain_text("Kept.")
    expect(half.locator("input").first).to_be_disabled()
    handle = curve.get_by_role("slider", name="accuracy, %, part of the weights that is zero 0.5", exact=True)
    handle.focus()
    page.keyboard.press("PageUp")
    page.keyboard.press("ArrowDown")
    expect(handle).to_have_attribute("aria-valuetext", "68 %")
    curve.get_by_role("button", name="This is my prediction").press("Enter")
    expect(curve).to_contain_text("Kept.")

    kept = json.loads((lab.folder / ".workbench" / "lessons" / "02-pruning.json").read_text())
    assert kept == {"small": 10, "half": "much", "curve": [50, 50, 68, *[50] * 5]}
    axe = Axe().run(page, ".wbl-live")
    assert axe.violations_count == 0, axe.generate_report()
    page.keyboard.press("Control+s")
    page.wait_for_function("() => !document.querySelector('.jp-mod-dirty')")
    saved = (lab.folder / name).read_text()
    assert "You said: <b>5 to 30 points</b>" in saved
    assert len(saved) < 400_000
