"""What a page tells of itself: how far things moved, and how many frames it painted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Page, sync_playwright

from tests.browser.lab import FLAGS, find_browser
from widgets.figure import script

WATCH = """() => {
  window.wbShifts = [];
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      const nodes = entry.sources.map(({ node }) => (node?.closest ? node : node?.parentElement));
      const inside = nodes.filter((node) => node?.closest(".wb-panel"));
      const names = inside.map((node) => String(node.className?.baseVal ?? node.className));
      if (inside.length) window.wbShifts.push([entry.value, names]);
    }
  }).observe({ type: "layout-shift" });
}"""
# A widget without Jupyter: its script is given what anywidget gives, of which a page needs no more.
PAGE = """<!DOCTYPE html><html lang="en"><head><title>map</title>STYLE</head>
<body><div class="wb-panel"><div id="here"></div></div><script type="module">
const state = STATE;
const heard = {};
const model = {
  get: (name) => state[name], send: () => {}, save_changes: () => {},
  set: (name, value) => { state[name] = value; (heard[`change:${name}`] ?? []).forEach((act) => act()); },
  on: (names, act) => names.split(" ").forEach((name) => (heard[name] ??= []).push(act)), off: () => {},
};
window.model = model;
const url = URL.createObjectURL(new Blob([SOURCE], { type: "text/javascript" }));
const widget = (await import(url)).default;
const start = performance.now();
widget.render({ model, el: document.getElementById("here") });
requestAnimationFrame(() => requestAnimationFrame(() => (window.painted = performance.now() - start)));
</script></body></html>"""


def watch_shifts(page: Page) -> None:
    """Begin to watch what moves inside of the panel."""
    page.evaluate(WATCH)


def shifts(page: Page) -> list[tuple[float, list[str]]]:
    """Return every layout shift since then: its size, and what moved."""
    return [(value, nodes) for value, nodes in page.evaluate("() => window.wbShifts")]


def widget_page(*scripts: str, state: dict[str, Any], style: str) -> str:
    """Return a page with one widget and no kernel."""
    source = json.dumps(script(*scripts)).replace("</", "<\\/")
    held = json.dumps(state).replace("</", "<\\/")
    return PAGE.replace("STYLE", style).replace("STATE", held).replace("SOURCE", source)


@contextmanager
def painted(text: str) -> Iterator[tuple[Page, float]]:
    """Show such a page in a browser of its own; give it, and the milliseconds to its first paint."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=FLAGS)
        page = browser.new_page(viewport={"width": 620, "height": 800})
        page.set_content(text)
        page.wait_for_function("() => window.painted")
        yield page, page.evaluate("() => window.painted")
        browser.close()
