"""Make the README's screenshots: `python tests/browser/screenshots.py FOLDER`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from playwright.sync_api import Page, expect, sync_playwright

from tests.browser.driving import PATIENCE, open_panel, slider, tab, tile
from tests.browser.lab import FLAGS, find_browser, running_lab


def main(folder: Path) -> None:
    """Write one picture for each view into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as made, running_lab(Path(made) / "notebooks") as lab, sync_playwright() as p:
        browser = p.chromium.launch(executable_path=find_browser(), args=FLAGS)
        page = browser.new_page(viewport={"width": 1440, "height": 1660})
        open_panel(page, lab)
        page.keyboard.press("Control+b")  # the file browser takes a fifth of the page
        panel = page.locator(".wb-panel")
        panel.scroll_into_view_if_needed()
        page.locator(".wb-layers tr", has_text="layer3.1.conv1").click()
        slider(page, "amount").focus()
        for _ in range(35):
            page.keyboard.press("ArrowRight")
        expect(tile(page, "Top-1 accuracy").locator("p")).to_contain_text("all 2,400", timeout=PATIENCE)
        _take(page, folder / "panel.png")
        tab(page, "Sensitivity")
        page.get_by_role("button", name="Scan").click()
        page.locator(".wb-figure").locator("visible=true").first.wait_for(timeout=PATIENCE)
        expect(page.get_by_role("button", name="Cancel")).to_be_hidden(timeout=5 * PATIENCE)
        _take(page, folder / "sensitivity.png")
        browser.close()


def _take(page: Page, path: Path) -> None:
    page.locator(".wb-panel").screenshot(path=path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
