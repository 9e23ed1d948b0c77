"""What a person does with the panel, for tests and screenshots."""

from __future__ import annotations

import json
import secrets

from playwright.sync_api import Locator, Page, expect

from tests.browser.lab import Lab

PATIENCE = 90_000


def open_panel(page: Page, lab: Lab, notebook: str = "workbench.ipynb") -> None:
    """Open a notebook, run all of its cells, and wait for the panel with the baseline's numbers."""
    page.goto(lab.notebook(notebook))
    # Run-all is silently lost while the kernel still starts.
    page.get_by_text("| Idle").wait_for(timeout=PATIENCE)
    page.locator(".lm-MenuBar-itemLabel", has_text="Run").first.click()
    page.get_by_text("Run All Cells", exact=True).click()
    page.locator(".wb-panel .wb-tile").first.wait_for(timeout=PATIENCE)
    expect(tile(page, "File size")).to_be_visible(timeout=PATIENCE)


def tile(page: Page, title: str) -> Locator:
    """Return the tile of a title."""
    return page.locator(".wb-tile", has=page.locator("h4", has_text=title))


def figures(page: Page) -> list[dict[str, object]]:
    """Return the data of every source of every drawn figure, as the page holds it."""
    script = """() => JSON.stringify(window.Bokeh.documents.flatMap((doc) =>
        [...doc._all_models.values()].filter((m) => m.type === "ColumnDataSource")
          .map((m) => Object.fromEntries(Object.entries(m.data).map(([k, v]) => [k, [...v]])))))"""
    return json.loads(page.evaluate(script))


def tab(page: Page, title: str) -> None:
    """Open a tab of the panel."""
    page.locator(".wb-panel .lm-TabBar-tab", has_text=title).first.click()


def slider(page: Page, label: str) -> Locator:
    """Return the handle of a visible slider."""
    holder = page.locator(".wb-panel .widget-slider", has=page.locator("label", has_text=label))
    return holder.locator(".noUi-handle").locator("visible=true").first


def grip(page: Page) -> tuple[float, float]:
    """Return where on the page the right handle of the shown, editable box is."""
    script = """() => {
        const all = (view) => [view, ...(view.children ? [...view.children()].flatMap(all) : [])];
        for (const view of [...window.Bokeh.index].flatMap(all)) {
            if (view.model.type !== "BoxAnnotation" || !view.model.visible || !view.model.editable) continue;
            const canvas = view.plot_view.canvas_view.el.getBoundingClientRect();
            if (canvas.width) return [canvas.x + view.bbox.right, canvas.y + (view.bbox.top + view.bbox.bottom) / 2];
        }
        return null;
    }"""
    page.wait_for_function(script, timeout=PATIENCE)
    x, y = page.evaluate(script)
    return x, y


def run_code(page: Page, code: str) -> str:
    """Run code in a new last cell of the notebook, and return what it printed."""
    page.evaluate("() => document.activeElement?.blur()")
    page.locator(".jp-Notebook .jp-Cell").last.click()
    page.keyboard.press("Escape")
    page.keyboard.press("b")
    page.keyboard.press("Enter")
    # The mark is another each time: an earlier cell's output must not be taken for this one's.
    mark = f"done{secrets.token_hex(4)}"
    page.keyboard.insert_text(f"{code}\nprint({mark!r})")
    page.keyboard.press("Shift+Enter")
    output = page.locator(".jp-OutputArea-output", has_text=mark).last
    output.wait_for(timeout=PATIENCE)
    return output.inner_text().removesuffix("\n").removesuffix(mark).strip()
