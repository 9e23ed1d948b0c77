"""A lesson at work: levels moved by hand, a function from nothing to right, and what is left without a kernel."""

from __future__ import annotations

import nbformat
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.driving import PATIENCE, run_code, save
from tests.browser.lab import KERNEL, Lab
from tests.browser.test_lessons import SOURCES, card, run_all
from workbench.lessons.course import lesson
from workbench.lessons.source import notebook, read

pytestmark = pytest.mark.browser
# The lesson's own first cells load a model, which a browser does not need.
OPENING = """import torch
from workbench import lessons, charts, inspection
from widgets.lesson import CourseNotebook
from widgets.lesson.tools import LevelEditor
lesson = CourseNotebook("grids")
editor = LevelEditor(torch.randn(64, 64, generator=torch.Generator().manual_seed(0)), "a layer")
lesson.show(editor)"""
WRONG = """def scale_and_zero_point(low, high, bits):
    scale = (max(high, 0) - min(low, 0)) / 2**bits
    return scale, round(-min(low, 0) / scale)"""
RIGHT = """def scale_and_zero_point(low, high, bits):
    low, high = min(low, 0.0), max(high, 0.0)
    scale = (high - low) / (2**bits - 1)
    return scale, round(-low / scale)"""
CELLS = """() => window.jupyterapp.shell.currentWidget.content.widgets
    .map((cell) => JSON.stringify(cell.model.toJSON())).join("")"""
LINE = """(place) => {
    const all = (view) => [view, ...(view.children ? [...view.children()].flatMap(all) : [])];
    const lines = (view) => view.model.type === "Span" && view.model.visible;
    const view = [...window.Bokeh.index].flatMap(all).filter(lines)[place];
    const [plot, at] = [view.plot_view, view.model.location];
    const box = plot.canvas_view.el.getBoundingClientRect();
    return [box.x + plot.frame.x_scale.compute(at), box.y + box.height / 2, at];
}"""


def open_lesson(page: Page, lab: Lab) -> str:
    """Open a notebook with the level editor and lesson 5's first function to write; return its name."""
    one = lesson("grids")
    made = nbformat.reads(notebook(one, read(SOURCES / f"{one.key}.py")), as_version=4)
    cells = [
        cell for cell in made.cells if cell.metadata.get("nbgrader", {}).get("grade_id", "").startswith("scale_and")
    ]
    made.cells = [nbformat.v4.new_code_cell(OPENING), *cells, nbformat.v4.new_code_cell('lesson.predict("even")')]
    made.metadata["kernelspec"] = KERNEL
    name = f"{one.name}-work.ipynb"
    nbformat.write(made, lab.folder / name)
    page.goto(lab.again(name))
    page.get_by_text("| Idle").wait_for(timeout=PATIENCE)
    run_all(page)
    return name


def write(page: Page, cell: int, text: str) -> None:
    """Write a cell's code by hand, and run it and the test after it."""
    page.locator(".jp-Notebook .jp-CodeCell .cm-content").nth(cell).click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(text)
    page.keyboard.press("Shift+Enter")
    page.keyboard.press("Shift+Enter")


def test_levels_code_and_the_notebook_that_is_left(page: Page, lab: Lab) -> None:
    name = open_lesson(page, lab)
    tool, output = page.locator(".wbl-tool"), page.locator(".jp-OutputArea")
    expect(output.filter(has_text="✗ nothing was written yet")).to_be_visible(timeout=PATIENCE)
    error = tool.locator(".wbl-read div", has_text="your error").locator("b")
    before = error.inner_text()

    page.wait_for_function("() => window.Bokeh && [...window.Bokeh.index].length > 0", timeout=PATIENCE)
    tool.scroll_into_view_if_needed()
    x, y, location = page.evaluate(LINE, 1)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 40, y, steps=4)
    page.mouse.up()
    expect(error).not_to_have_text(before, timeout=PATIENCE)
    field = tool.get_by_role("spinbutton", name="level 2")
    assert float(field.input_value()) > location + 0.05
    field.fill("-0.4")
    field.press("Enter")
    tool.get_by_role("button", name="Show k-means").click()
    expect(tool.locator(".wbl-read")).to_contain_text("k-means")
    axe = Axe().run(page, ".wbl-tool")
    assert axe.violations_count == 0, axe.generate_report()

    write(page, 1, WRONG)
    expect(output.filter(has_text="✗ between 4 codes there are 3 steps")).to_be_visible(timeout=PATIENCE)
    assert page.get_by_text("Traceback").count() == 0
    write(page, 1, RIGHT)
    expect(output.filter(has_text="✓ This passes.")).to_be_visible(timeout=PATIENCE)

    run_code(page, 'lesson.predict("even")')
    asked = card(page, "Four even levels")
    asked.get_by_role("spinbutton").fill("300")
    expect(asked).to_contain_text("It is a number from 0 to 100.")
    asked.get_by_role("spinbutton").fill("20")
    asked.get_by_role("button", name="This is my prediction").click()
    expect(asked).to_contain_text("Kept.")
    run_code(page, 'lesson.reveal("even", lessons.counted(58.4, "58.4 %"))')
    run_code(page, "shown = charts.weight_histogram(inspection.histogram(editor.values.float())).figure")
    run_code(page, "lesson.figure(shown, 'its weights')")
    # Both figures, of the reveal and this one, have left their pictures in the notebook.
    page.wait_for_function(f"() => ({CELLS})().split('data:image/png').length > 2", timeout=PATIENCE)
    save(page)

    text = (lab.folder / name).read_text()
    assert "You said: <b>20 %" in text
    assert len(text) < 400_000
    lab.end_kernels()
    page.goto(lab.again(name))
    still = page.locator(".wbl-still")
    expect(still.filter(has_text="Four even levels")).to_be_visible(timeout=PATIENCE)
    expect(still.filter(has_text="You said: 20 %")).to_be_visible()
    expect(page.locator(".wbl-reveal")).to_contain_text("58.4 %")
    picture = page.get_by_role("img", name="its weights")
    picture.scroll_into_view_if_needed()
    assert picture.evaluate("(img) => img.naturalWidth") > 200
    expect(still.filter(has_text="your error")).to_be_attached()
    assert page.locator(".wbl-live, .wbl-tool").count() == 0
