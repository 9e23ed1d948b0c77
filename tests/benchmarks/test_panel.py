"""How the panel feels: from a key on a slider to the repainted tile, and whether work lets the kernel breathe."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, sync_playwright

from tests.browser.driving import PATIENCE, open_panel, run_code, slider
from tests.browser.lab import FLAGS, find_browser, running_lab

MOVES = 15
# The time of a move ends with the frame that shows a score for it: an estimate, or the exact one if that came first.
WATCH = """() => {
    window.moves = [];
    let pressed = null;
    const score = () => {
        for (const tile of document.querySelectorAll(".wb-tile"))
            if (tile.querySelector("h4").textContent.startsWith("Top-1")) return tile;
    };
    window.addEventListener("keydown", () => {
        const old = score();
        if (pressed === null) pressed = { start: performance.now(), old, first: null };
    }, true);
    const look = () => {
        const tile = score();
        if (pressed === null || !tile || tile === pressed.old) return;
        const move = pressed;
        const now = performance.now();
        move.first ??= now - move.start;
        if (tile.querySelector("b").textContent === "…") return;
        pressed = null;
        requestAnimationFrame(() => setTimeout(() =>
            window.moves.push([move.first, performance.now() - move.start, tile.querySelector("p").textContent])));
    };
    new MutationObserver(look).observe(document.querySelector(".wb-panel"), { childList: true, subtree: true });
}"""
# A preview is at rest once its score is exact and each runtime is timed.
REST = """(count) => window.moves.length >= count && [...document.querySelectorAll(".wb-tile")].every((tile) =>
    tile.textContent.includes("when applied") || !tile.querySelector("b").textContent.includes("…"))
    && document.querySelector(".wb-tiles").textContent.includes("all 2,400")"""
KERNEL = """import time
begun, took = [0.0, None], []
def drafted(_):
    begun[:] = [time.perf_counter(), None]
def staged(change):
    found = change.new
    if found is not None and found.score is not None and begun[1] is not found.step:
        begun[1] = found.step
        took.append(time.perf_counter() - begun[0])
session.observe(drafted, "draft")
session.observe(staged, "staged")"""
WORK = """import asyncio, json, time
async def breathe(future, seconds):
    gaps, start = [], time.perf_counter()
    last, stopped = start, None
    while not future.done():
        await asyncio.sleep(0.002)
        now = time.perf_counter()
        gaps.append(now - last - 0.002)
        last = now
        if stopped is None and now - start > seconds:
            stopped = now
            session.cancel()
    if not future.cancelled():
        future.exception()
    ended = time.perf_counter()
    return {"longest": max(gaps), "p99": sorted(gaps)[int(0.99 * len(gaps))],
            "cancelled after": None if stopped is None else ended - stopped}
found = {}
for name, step in (("scan", None), ("fine-tune", wb.FineTune(epochs=30)), ("channels", wb.PruneChannels(amount=0.3))):
    if step is None:
        future = session.start(name, session.sensitivity, wb.Prune())
    else:
        future = session.start(name, session.apply, step)
    found[name] = await breathe(future, 5.0)
print(json.dumps(found))"""

Publish = Callable[[str, list[dict[str, object]]], None]


@pytest.fixture
def page(tmp_path) -> Iterator[Page]:
    with running_lab(tmp_path / "notebooks") as lab, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=FLAGS)
        opened = browser.new_page(viewport={"width": 1500, "height": 1300})
        open_panel(opened, lab)
        yield opened
        browser.close()


def test_round_trip_and_breath(page: Page, publish: Publish) -> None:
    """Moves of the amount, each from rest; then work of five seconds that is cancelled."""
    run_code(page, KERNEL)
    page.evaluate(WATCH)
    slider(page, "amount").focus()
    for count in range(1, MOVES + 1):
        page.keyboard.press("ArrowRight")
        page.wait_for_function(REST, arg=count, timeout=PATIENCE)
    moves = page.evaluate("() => window.moves")
    kernel = [1000 * value for value in json.loads(run_code(page, "print(took)"))]
    rows = [
        _row("page: first numbers (bytes)", [first for first, _, _ in moves]),
        _row("page: first score", [whole for _, whole, _ in moves]),
        _row("kernel: first score", kernel[-MOVES:]),
    ]
    publish("slider to tile", rows)
    run_code(page, "session.take_back()")
    found = json.loads(run_code(page, WORK))
    publish("main loop while work runs, ms", [
        {"work": name, **{what: value and 1000 * value for what, value in values.items()}}
        for name, values in found.items()
    ])  # fmt: skip


def _row(what: str, found: list[float]) -> dict[str, object]:
    ranked = sorted(found)
    return {
        "what": what, "moves": len(ranked), "median ms": statistics.median(ranked),
        "p90 ms": ranked[int(0.9 * (len(ranked) - 1))], "longest ms": ranked[-1],
    }  # fmt: skip
