"""The panel outside of JupyterLab: in Notebook 7, and as a page of its own."""

from __future__ import annotations

import psutil
import pytest
from playwright.sync_api import Browser, expect

from tests.browser.driving import EXACT, PATIENCE, VIEW, figures, run_cells, settled, slider, strangers, tab, tile
from tests.browser.lab import running_lab
from tests.cli.serving import kernels, serving
from tests.sampling import whole

pytestmark = pytest.mark.browser


def test_a_page_is_the_panel_and_takes_its_kernel_along(browser: Browser, tmp_path, monkeypatch) -> None:
    """What a visitor does is done in a kernel of theirs, which ends when they leave; no other machine is asked."""
    monkeypatch.chdir(tmp_path)
    with serving("digits-resnet", "--seconds", "0.1", "--apart") as (server, address):
        page = browser.new_page(viewport=VIEW)
        asked = strangers(page)
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address, timeout=PATIENCE)
        score = tile(page, "Top-1 accuracy")
        expect(score.locator("b")).to_have_text("98.50 %", timeout=PATIENCE)
        page.locator(".wb-figure .bk-Canvas").first.wait_for(timeout=PATIENCE, state="attached")
        icon = page.get_by_role("button", name="Undo").locator("i")
        assert "Font Awesome" in icon.evaluate("icon => getComputedStyle(icon, '::before').fontFamily")
        before = figures(page)
        slider(page, "amount").focus()
        for _ in range(20):
            page.keyboard.press("ArrowRight")
        expect(page.locator(".wb-preview")).to_be_visible(timeout=PATIENCE)
        expect(score.locator("p")).to_contain_text(EXACT, timeout=PATIENCE)
        assert figures(page) != before
        page.get_by_role("button", name="Apply").click()
        expect(page.locator(".wb-state", has_text="state 1")).to_be_visible(timeout=PATIENCE)
        tab(page, "Code")
        expect(page.locator(".wb-listing pre").first).to_contain_text("session.apply(wb.Prune(amount=0.7))")
        (folder,) = (tmp_path / "visitors").iterdir()
        assert list(folder.glob(".workbench/*/session-*.json"))
        (kernel,) = kernels(server)
        page.goto("about:blank")
        assert psutil.wait_procs([kernel], 30)[1] == []
        assert asked == []
        assert errors == []


@whole
def test_the_panel_works_in_notebook_7(browser: Browser, tmp_path) -> None:
    with running_lab(tmp_path / "notebooks", program="notebook") as notebook:
        page = browser.new_page(viewport=VIEW)
        asked = strangers(page)
        page.goto(f"{notebook.url}/notebooks/{notebook.fresh()}?token={notebook.token}")
        # The page says idle before there is a kernel, and what is run then is lost without a word.
        page.wait_for_function(
            "() => window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'",
            timeout=PATIENCE,
        )
        run_cells(page)
        page.locator(".wb-figure .bk-Canvas").first.wait_for(timeout=PATIENCE, state="attached")
        slider(page, "amount").focus()
        for _ in range(20):
            page.keyboard.press("ArrowRight")
        expect(page.locator(".wb-preview")).to_be_visible(timeout=PATIENCE)
        settled(page, 0.7)
        page.close()
        assert asked == []
