"""Make the pictures of the README: `python tests/browser/screenshots.py FOLDER [WIDTH] [light|dark] [ZOOM]`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from playwright.sync_api import Page, expect, sync_playwright

from tests.browser.driving import PATIENCE, open_panel, run_code, slider, tab, tile
from tests.browser.lab import FLAGS, find_browser, running_lab

# Some states to look at: what was tried, and what was trained.
STATES = """session.apply(wb.Prune(amount=0.5))
session.apply(wb.Quantize(bits=4))
session.reset()
session.apply(wb.Quantize(bits=8, activations=8))
session.reset()
session.apply(wb.PruneChannels(amount=0.3, round_to=4))
session.start("Train", session.apply, wb.FineTune(epochs=2)).result()
session.apply(wb.Quantize(bits=3))"""
HEIGHT = 2000
# What some views wait for, and what they then show.
ASKED = {
    "Budget": ("Take suggestion", ".wb-bar-row"),
    "Structure": ("Look inside", ".wb-channel"),
    "Who pays": ("See who pays", ".wb-sample"),
    "Compare": ("Compare layers and samples", ".wb-compared"),
}


def main(folder: Path, width: int = 1280, theme: str = "light", zoom: float = 1.0) -> None:
    """Write one picture for each view into `folder`, as a page that is zoomed shows it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as made,
        running_lab(Path(made) / "notebooks", theme) as lab,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=find_browser(), args=FLAGS)
        view = {"width": round(width / zoom), "height": round(HEIGHT / zoom)}
        page = browser.new_page(viewport=view, device_scale_factor=zoom)
        open_panel(page, lab)
        page.keyboard.press("Control+b")  # the file browser takes a fifth of the page
        page.locator(".wb-edge").wait_for(timeout=PATIENCE, state="attached")
        page.locator(".wb-box[data-name='layer3.1/']").click()
        slider(page, "amount").focus()
        for _ in range(35):
            page.keyboard.press("ArrowRight")
        expect(tile(page, "Top-1 accuracy").locator("p")).to_contain_text("all 2,400", timeout=PATIENCE)
        _take(page, folder / "panel.png")
        page.get_by_role("button", name="Discard").click()
        page.locator(".wb-box[data-name='layer3.1/']").click()  # which chooses all layers again
        # On the untouched subject, as most people see it first.
        tab(page, "Sensitivity")
        page.get_by_role("button", name="Scan").click()
        page.locator(".wb-figure").locator("visible=true").first.wait_for(timeout=PATIENCE)
        expect(page.get_by_role("button", name="Cancel")).to_be_hidden(timeout=5 * PATIENCE)
        _show(page, "Sensitivity", folder)
        _show(page, "Budget", folder)
        page.get_by_role("button", name="Clear").locator("visible=true").click()
        run_code(page, STATES, 5 * PATIENCE)  # trains
        tab(page, "Table")
        page.locator(".wb-layers tr", has_text="layer3.1.conv1").click()
        tab(page, "Map")
        for number in (1, 2, 4):
            page.get_by_label(f"compare state {number}").check()
        for title in page.locator(".wb-right .lm-TabBar-tabLabel").all_inner_texts():
            if title not in ("Compress", "Sensitivity", "Budget"):
                _show(page, title, folder)
        browser.close()


def _show(page: Page, title: str, folder: Path) -> None:
    tab(page, title)
    if title in ASKED:
        button, shown = ASKED[title]
        page.get_by_role("button", name=button).click()
        page.locator(shown).first.wait_for(timeout=PATIENCE)
    _take(page, folder / f"{title.lower().replace(' ', '-')}.png")


def _take(page: Page, path: Path) -> None:
    page.mouse.move(0, 0)
    panel, before = page.locator(".wb-panel").first, b""
    # Bokeh never calls a figure with an editable box idle; what looks the same twice is drawn.
    while (taken := panel.screenshot()) != before:
        before = taken
    path.write_bytes(taken)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:3]), *sys.argv[3:4], *map(float, sys.argv[4:5]))
