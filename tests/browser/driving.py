"""What a person does with the panel, for tests and screenshots."""

from __future__ import annotations

import json
import re
import secrets
import time
from urllib.parse import urlsplit

from playwright.sync_api import Locator, Page, expect

from tests.browser.lab import OPEN, Lab

PATIENCE = 90_000
# What a tile says of a preview whose score is exact; the baseline's says nothing of points.
EXACT = re.compile(r"points.*all 2,400")
SETTLED = """import time
while not (session.staged and session.staged.score and session.staged.score.exact
           and round(session.staged.step.amount, 2) == {amount}):
    time.sleep(0.02)
print(f"{{session.staged.score.value * 100:.2f}} %")"""
VIEW = {"width": 1500, "height": 1300}


def strangers(page: Page) -> list[str]:
    """Return a list that fills with what the page asks of other machines."""
    found: list[str] = []

    def note(url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https", "ws", "wss") and parts.hostname != "127.0.0.1":
            found.append(url)

    page.on("request", lambda request: note(request.url))
    page.on("websocket", lambda socket: note(socket.url))
    return found


def open_panel(page: Page, lab: Lab, notebook: str = "workbench.ipynb") -> None:
    """Open a copy of a notebook, run all of its cells, and wait for the panel with the baseline's numbers."""
    _run_all(page, lab.notebook(notebook))


def open_shared(page: Page, lab: Lab) -> None:
    """Open a panel on a fresh session in the shared kernel."""
    _run_all(page, lab.shared())


def open_in_place(page: Page) -> None:
    """Open a panel on a fresh session in a page that shows another: in the only cell of the notebook."""
    page.evaluate("() => document.activeElement?.blur()")
    page.locator(".jp-Notebook .jp-Cell .jp-InputPrompt").last.click()
    page.keyboard.press("Escape")
    for key in ("Control+a", "d", "d"):
        page.keyboard.press(key)
    expect(page.locator(".jp-Notebook .jp-Cell")).to_have_count(1)
    page.keyboard.press("Enter")
    page.keyboard.insert_text(OPEN)
    page.keyboard.press("Shift+Enter")
    expect(tile(page, "File size")).to_be_visible(timeout=PATIENCE)


def _run_all(page: Page, address: str) -> None:
    page.goto(address)
    # Run-all is silently lost while the kernel still starts.
    page.get_by_text("| Idle").wait_for(timeout=PATIENCE)
    run_cells(page)


def run_cells(page: Page) -> None:
    """Run all cells, and wait for the panel with the baseline's numbers."""
    page.locator(".lm-MenuBar-itemLabel", has_text="Run").first.click()
    page.get_by_text("Run All Cells", exact=True).click()
    page.locator(".wb-panel .wb-tile").first.wait_for(timeout=PATIENCE)
    expect(tile(page, "File size").locator("b")).not_to_have_text("…", timeout=PATIENCE)


def load_again(page: Page, address: str = "") -> None:
    """Load a notebook whose kernel is alive, and wait for its panel.

    ipywidgets waits two seconds for a model, and gives up if the models come at that very moment: then people load
    the page once more.
    """
    panel, missed = page.locator(".wb-panel .wb-tile").first, page.get_by_text("model not found").first
    for _ in range(3):
        page.goto(address or page.url)
        panel.or_(missed).first.wait_for(timeout=PATIENCE)
        if panel.is_visible():
            return
    raise AssertionError("the panel was not found three times")


def tile(page: Page, title: str) -> Locator:
    """Return the tile of a title."""
    return page.locator(".wb-tile", has=page.locator("h4", has_text=title))


def settled(page: Page, amount: float) -> str:
    """Wait until the preview of an amount has its exact score, and the tile shows it; return the score's text.

    The page alone does not tell: the tile of the baseline is exact too, and so is that of an amount on the way.
    """
    shown = run_code(page, SETTLED.format(amount=amount))
    score = tile(page, "Top-1 accuracy")
    expect(score.locator("b")).to_have_text(shown, timeout=PATIENCE)
    expect(score.locator("p")).to_contain_text(EXACT, timeout=PATIENCE)
    return shown


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


def grip(page: Page, mark: float | None = None) -> tuple[float, float]:
    """Return where on the page the right handle of the shown, editable box is, once it rests.

    Args:
        page: With one such box.
        mark: Where the handle should be, in the unit of the figure's axis; None for wherever it is.
    """
    script = """async (mark) => {
        const all = (view) => [view, ...(view.children ? [...view.children()].flatMap(all) : [])];
        const find = () => {
            for (const view of [...window.Bokeh.index].flatMap(all)) {
                if (view.model.type !== "BoxAnnotation" || !view.model.visible || !view.model.editable) continue;
                if (mark !== null && Math.abs(view.model.right - mark) > 1e-3 * Math.abs(mark)) continue;
                const canvas = view.plot_view.canvas_view.el.getBoundingClientRect();
                const middle = (view.bbox.top + view.bbox.bottom) / 2;
                if (!canvas.width) continue;
                const [x, y] = [canvas.x + view.bbox.right, canvas.y + middle];
                // As a person would: what lies under the bar is scrolled to first.
                let host = view.plot_view.canvas_view.el;
                while (host.getRootNode() instanceof ShadowRoot) host = host.getRootNode().host;
                if (host.contains(document.elementFromPoint(x, y))) return [x, y];
                host.scrollIntoView({ block: "center" });
            }
            return null;
        };
        const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
        const before = find();
        await frame();
        await frame();
        return before && String(before) === String(find()) ? before : null;
    }"""
    end = time.monotonic() + PATIENCE / 1000
    while (found := page.evaluate(script, mark)) is None or not found:
        assert time.monotonic() < end, "no handle came to rest"
    return found[0], found[1]


def expect_near(page: Page, x: float) -> None:
    """Wait until the grip is where it should be; a page under load follows the hand with a delay."""
    end = time.monotonic() + PATIENCE / 1000
    while abs(grip(page)[0] - x) >= 4:
        assert time.monotonic() < end, f"the mark is at {grip(page)[0]:.0f}, not at {x:.0f}"


def place(page: Page, column: str, row: int) -> tuple[float, float]:
    """Return where on the page a glyph is: that of a row of the source with this column."""
    script = """([column, row]) => {
        const all = (view) => [view, ...(view.children ? [...view.children()].flatMap(all) : [])];
        for (const view of [...window.Bokeh.index].flatMap(all)) {
            const data = view.model.type === "GlyphRenderer" && view.model.data_source.data;
            if (!data || !(column in data) || data[column].length <= row) continue;
            const canvas = view.plot_view.canvas_view.el.getBoundingClientRect();
            if (!canvas.width) continue;
            const frame = view.plot_view.frame;
            return [canvas.x + frame.x_scale.compute(data.x[row]), canvas.y + frame.y_scale.compute(data.y[row])];
        }
        return null;
    }"""
    page.wait_for_function(script, arg=[column, row], timeout=PATIENCE)
    x, y = page.evaluate(script, [column, row])
    return x, y


def save(page: Page) -> None:
    """Save the notebook, and wait until it is."""
    page.keyboard.press("Control+s")
    page.wait_for_function("() => !document.querySelector('.jp-mod-current.jp-mod-dirty, .jp-mod-dirty')")


def run_code(page: Page, code: str, patience: float = PATIENCE) -> str:
    """Run code in a new last cell of the notebook, and return what it printed."""
    page.evaluate("() => document.activeElement?.blur()")
    # Not into the middle of the cell, where the panel may have a control.
    page.locator(".jp-Notebook .jp-Cell .jp-InputPrompt").last.click()
    page.keyboard.press("Escape")
    page.keyboard.press("b")
    page.keyboard.press("Enter")
    # The end is another each time, and not in the code: neither an earlier cell's output nor this one's input is taken.
    end = secrets.token_hex(8)
    page.keyboard.insert_text(f"{code}\nprint('{end[:8]}' + '{end[8:]}')")
    page.keyboard.press("Shift+Enter")
    output = page.locator(".jp-OutputArea-output", has_text=end).last
    failure = page.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.error']").last
    output.or_(failure).wait_for(timeout=patience)
    assert not failure.is_visible(), failure.inner_text()
    return output.inner_text().strip().removesuffix(end).strip()
