"""How fast the map of a model with a thousand layers is: first paint, and frames a second while it is dragged."""

from __future__ import annotations

import time

import pytest

from tests.browser.lab import find_browser
from tests.browser.still import painted, widget_page
from widgets import theme
from widgets.views.model_map import _drawn
from workbench.graph.modules import ModuleGraph, Part
from workbench.inspection.model_map import QUANTITIES, fold, lay_out

LAYERS = 1000
FRAMES = """() => {
  window.frames_ = [];
  const tick = (now) => { window.frames_.push(now); requestAnimationFrame(tick); };
  requestAnimationFrame(tick);
}"""


def graph() -> ModuleGraph:
    """Return blocks of ten layers with a residual round each, with names as long as BERT's."""
    parts, edges = [Part("input_ids", "input", "input_ids")], []
    before = "input_ids"
    for block in range(LAYERS // 10):
        around = ("bert", "bert.encoder", "bert.encoder.layer", f"bert.encoder.layer.{block}")
        start = before
        for number in range(10):
            name = f"bert.encoder.layer.{block}.attention.output.dense_{number}"
            parts.append(Part(name, "layer", name, (name,), around))
            edges.append((before, name))
            before = name
        parts.append(Part(f"add_{block} ()", "join", "+", (), around))
        edges += [(before, f"add_{block} ()"), (start, f"add_{block} ()")]
        before = f"add_{block} ()"
    return ModuleGraph(tuple(parts), tuple(edges))


@pytest.mark.skipif(find_browser() is None, reason="no Chromium on this machine")
def test_the_map_of_a_thousand_layers_is_fluid() -> None:
    whole = graph()
    start = time.perf_counter()
    view = fold(whole, {name for part in whole.parts for name in part.blocks})
    drawing = _drawn(lay_out(view), view.boxes, {})
    made = time.perf_counter() - start
    state = {
        "drawing": drawing, "selection": [], "coupled": [], "count": LAYERS, "note": "",
        "choices": [[name, one.title] for name, one in QUANTITIES.items()],
        "colors": {"title": "bytes", "low": "0 B", "high": "9 MB", "tone": "", "boxes": {
            box.name: [number % 10 / 10, "1.2 MB", False] for number, box in enumerate(view.boxes)
        }},
    }  # fmt: skip
    page_text = widget_page("names.js", "part.js", "map_boxes.js", "model_map.js", state=state, style=theme.STYLE)
    with painted(page_text) as (page, paint):
        rates = {}
        for scale in ("readable", "all of it"):
            if scale == "all of it":
                page.get_by_label("show all of it").click()
            page.evaluate(FRAMES)
            page.mouse.move(300, 300)
            page.mouse.down()
            began = time.perf_counter()
            step = 0
            while time.perf_counter() - began < 2:
                step += 1
                page.mouse.move(300 + step % 40, 300 - 5 * step % 250)
            page.mouse.up()
            times = page.evaluate("() => window.frames_")
            rates[scale] = 1000 * (len(times) - 1) / (times[-1] - times[0])
        boxes = page.locator(".wb-box").count()
    print(f"\n{len(view.boxes)} boxes: laid out {made * 1000:.0f} ms, first paint {paint:.0f} ms, "
          + ", ".join(f"{rate:.0f} frames/s dragged ({scale})" for scale, rate in rates.items())
          + f", {boxes} boxes in the page")  # fmt: skip
    assert boxes >= LAYERS
    assert paint <= 300
    assert min(rates.values()) >= 30
