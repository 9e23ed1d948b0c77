"""How long the first things take: `make bench`. Figures are printed, never asserted."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from tests.browser.driving import PATIENCE
from tests.browser.lab import FLAGS, find_browser, running_lab

RUNS = 7


def _seconds(code: str) -> float:
    timed = f"import time; start = time.perf_counter(); {code}; print(time.perf_counter() - start)"
    return float(subprocess.run([sys.executable, "-c", timed], capture_output=True, text=True, check=True).stdout)


def test_import_beside_torch() -> None:
    """`import workbench` against `import torch`, in turn, each in a new process."""
    pairs = [(_seconds("import torch"), _seconds("import workbench")) for _ in range(RUNS)]
    more = statistics.median(ours - torch for torch, ours in pairs)
    print(f"\nimport torch {statistics.median(t for t, _ in pairs):.2f} s, import workbench {more:+.2f} s")


def test_first_cell_to_panel(tmp_path) -> None:
    """From 'run all' on a fresh kernel to the panel on the page."""
    from playwright.sync_api import sync_playwright

    found = []
    with running_lab(tmp_path / "notebooks") as lab, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=FLAGS)
        for _ in range(3):
            page = browser.new_page()
            page.goto(lab.notebook("workbench.ipynb"))
            page.get_by_text("| Idle").wait_for(timeout=PATIENCE)
            start = time.perf_counter()
            page.locator(".lm-MenuBar-itemLabel", has_text="Run").first.click()
            page.get_by_text("Run All Cells", exact=True).click()
            page.locator(".wb-panel .wb-tile").first.wait_for(timeout=PATIENCE)
            found.append(time.perf_counter() - start)
            page.close()
            lab.end_kernels()
    print(f"\nfirst cell to panel: {', '.join(f'{seconds:.1f}' for seconds in found)} s")
