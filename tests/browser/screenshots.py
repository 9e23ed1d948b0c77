"""Take pictures of every view: `python tests/browser/screenshots.py DOCS [EVERY [PART ...]]`.

DOCS gets the pictures of the documentation. EVERY gets each view as people have it on their screens: at 1280 × 800 in
light and dark, at 1920 × 1080, at 150 %, with long names, and with a thousand layers. Each PART is a name in
`PARTS`, for whom some views are enough.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
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
session.apply(wb.ResizeInput(scale=0.75))
session.apply(wb.Quantize(bits=3))"""
# Blocks of six layers with names as long as BERT's.
LONG = """import torch
from torch import nn
class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        for name in ("query_projection", "key_projection", "value_projection", "output_projection"):
            setattr(self, name, nn.Linear(8, 8))
    def forward(self, x):
        return x + self.output_projection(self.query_projection(x) * self.key_projection(x) + self.value_projection(x))
class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention, self.intermediate, self.output = Attention(), nn.Linear(8, 16), nn.Linear(16, 8)
    def forward(self, x):
        return (y := self.attention(x)) + self.output(torch.relu(self.intermediate(y)))
class Encoder(nn.Module):
    def __init__(self, count):
        super().__init__()
        self.layer = nn.ModuleList(Layer() for _ in range(count))
    def forward(self, x):
        for layer in self.layer:
            x = layer(x)
        return x
class Long(nn.Module):
    def __init__(self, count):
        super().__init__()
        self.bert_model_encoder, self.classifier = Encoder(count), nn.Linear(8, 3)
    def forward(self, x):
        return self.classifier(self.bert_model_encoder(x))
torch.manual_seed(0)
x, y = torch.randn(90, 8), torch.arange(90) % 3
def shown(count):
    data = wb.Task(train=(x[:30], y[:30]), validation=(x[30:60], y[30:60]), test=(x[60:], y[60:]))
    panel._open(wb.Subject(f"{6 * count} layers", Long(count), data))
"""
HEIGHT = 2000
# What some views wait for, and what they then show.
ASKED = {
    "Budget": ("Take suggestion", ".wb-bar-row"),
    "Structure": ("Look inside", ".wb-channel"),
    "Who pays": ("See who pays", ".wb-sample"),
    "Compare": ("Compare layers and samples", "table[aria-label='layers of states'] td"),
}
# Each as width, height, theme and the zoom of the page.
SCREENS = {
    "light": (1280, 800, "Light", 1.0), "dark": (1280, 800, "Dark", 1.0), "1920": (1920, 1080, "Light", 1.0),
    "150": (1280, 800, "Light", 1.5),
}  # fmt: skip
THEME = "name => window.jupyterapp.commands.execute('apputils:change-theme', { theme: `JupyterLab ${name}` })"


class Camera:
    """Takes each view once for the documentation, and once a screen.

    Args:
        page: Shows a panel.
        docs: Where the documentation's pictures go.
        every: Where all others go, None for none.
    """

    def __init__(self, page: Page, docs: Path, every: Path | None) -> None:
        self.page, self.docs, self.every = page, docs, every

    def take(self, name: str, *, docs: bool = True) -> None:
        """Take what is shown."""
        if docs:
            self._picture(self.docs / f"{name}.png", whole=True)
        if self.every is None:
            return
        for screen, (width, height, theme, zoom) in SCREENS.items():
            self.page.set_viewport_size({"width": round(width / zoom), "height": round(height / zoom)})
            self.page.evaluate(THEME, theme)
            self.page.locator(".wb-panel").first.evaluate("panel => panel.scrollIntoView()")
            self._picture(self.every / screen / f"{name}.png", whole=False)
        self.page.evaluate(THEME, "Light")
        self.page.set_viewport_size({"width": 1280, "height": HEIGHT})

    def _picture(self, path: Path, whole: bool) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.page.mouse.move(0, 0)
        self.page.wait_for_timeout(400)
        seen, before = self.page.locator(".wb-panel").first if whole else self.page, b""
        for _ in range(20):  # Bokeh never calls a figure with an editable box idle; what looks the same twice is drawn
            if (taken := seen.screenshot()) == before:
                break
            before = taken
        path.write_bytes(taken)


def main(docs: Path, every: Path | None = None, *parts: str) -> None:
    """Take the pictures of these parts, of all if none is named."""
    with _page() as page:
        camera = Camera(page, docs, every)
        for name, take in PARTS.items():
            if (every is not None or take in DOCUMENTED) and (not parts or name in parts):
                take(camera)


@contextmanager
def _page() -> Iterator[Page]:
    """Give a page with a panel, without JupyterLab's file browser."""
    with (
        tempfile.TemporaryDirectory() as made,
        running_lab(Path(made) / "notebooks") as lab,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=find_browser(), args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": HEIGHT})
        open_panel(page, lab)
        page.keyboard.press("Control+b")  # the file browser takes a fifth of the page
        page.locator(".wb-edge").first.wait_for(timeout=PATIENCE, state="attached")
        yield page
        browser.close()


def _compress(camera: Camera) -> None:
    page = camera.page
    page.locator(".wb-box[data-name='layer3.1/']").click()
    slider(page, "amount").focus()
    for _ in range(35):
        page.keyboard.press("ArrowRight")
    expect(tile(page, "Top-1 accuracy").locator("p")).to_contain_text("all 2,400", timeout=PATIENCE)
    camera.take("panel")
    page.get_by_role("button", name="Discard").click()
    page.locator(".wb-box[data-name='layer3.1/']").click()  # which chooses all layers again


def _scanned(camera: Camera) -> None:
    """Take what a scan gives, on the untouched subject, as most people see it first."""
    page = camera.page
    tab(page, "Sensitivity")
    page.get_by_role("button", name="Scan").click()
    page.locator(".wb-figure").locator("visible=true").first.wait_for(timeout=PATIENCE)
    expect(page.get_by_role("button", name="Cancel")).to_be_hidden(timeout=10 * PATIENCE)
    _show(camera, "Sensitivity")
    _show(camera, "Budget")
    page.get_by_role("button", name="Clear").locator("visible=true").click()


def _tried(camera: Camera) -> None:
    """Take the views of what was tried."""
    page = camera.page
    run_code(page, STATES, 10 * PATIENCE)  # trains
    page.locator(".wb-panel").first.evaluate("panel => panel.scrollIntoView()")
    tab(page, "Table")
    page.locator(".wb-layers tr", has_text="layer3.1.conv1").click()
    tab(page, "Map")
    for number in (2, 3, 5):
        page.get_by_label(f"compare state {number}").check()
    for title in page.locator(".wb-right .lm-TabBar-tabLabel").all_inner_texts():
        if title not in ("Compress", "Sensitivity", "Budget", "Search"):
            _show(camera, title)


def _searched(camera: Camera) -> None:
    """Take a search while it runs and at its end."""
    page = camera.page
    run_code(page, "session.reset()", PATIENCE)  # nothing that begins at a state which lost much keeps a goal
    page.locator(".wb-panel").first.evaluate("panel => panel.scrollIntoView()")
    tab(page, "Search")
    page.locator(".wb-sentence input").last.fill("1")
    page.locator(".wb-sentence button").click()
    page.locator(".wb-candidate").wait_for(timeout=3 * PATIENCE)
    if camera.every is not None:
        camera.take("search-running", docs=False)
    expect(page.get_by_role("button", name="Cancel")).to_be_hidden(timeout=3 * PATIENCE)
    camera.take("search")


def _over_it(camera: Camera) -> None:
    """Take what lies over the panel or opens in it."""
    page = camera.page
    tab(page, "Compress")
    for shelf in ("Share", "Input"):
        page.locator(".wb-method-now").click()
        page.locator(".wb-method-shelves .wb-chip", has_text=shelf).click()
        camera.take(f"methods-{shelf.lower()}", docs=False)
        page.locator(".wb-method-now").click()
    for kind, name in (("tie_layers", "tie-layers"), ("resize_input", "resize-input"), ("byte_input", "byte-input")):
        page.locator(".wb-method-now").click()
        page.locator(f".wb-method[data-kind={kind}]").click()
        page.wait_for_timeout(1500)
        camera.take(name, docs=False)
    tab(page, "Table")
    camera.take("table", docs=False)
    tab(page, "Map")
    for name, button in (("open-a-model", "Open a model"), ("help", "keys, words and the tour")):
        page.get_by_role("button", name=button).click()
        camera.take(name, docs=False)
        page.get_by_role("button", name="close the help" if name == "help" else button).click()
    page.get_by_role("button", name="a tour of five steps").click()
    camera.take("tour", docs=False)
    page.get_by_role("button", name="end the tour").click()
    page.locator(".wb-strip > .wb-quiet").click()
    camera.take("numbers", docs=False)
    page.locator(".wb-strip > .wb-quiet").click()


def _reported(camera: Camera) -> None:
    """Take a report, from its first page to its last."""
    assert camera.every is not None
    name = run_code(camera.page, "print(session.report('shown.html').resolve())", 5 * PATIENCE)
    browser = camera.page.context.browser
    assert browser is not None
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(f"file://{name}")
    page.wait_for_timeout(4000)
    page.screenshot(path=camera.every / "report.png", full_page=True)
    page.close()


def _long(camera: Camera) -> None:
    """Take the map and the table of models with long names."""
    page = camera.page
    run_code(page, LONG)
    for count in (12, 166):
        run_code(page, f"shown({count})", 3 * PATIENCE)
        page.locator(".wb-edge").first.wait_for(timeout=3 * PATIENCE, state="attached")
        camera.take(f"map-{6 * count + 1}", docs=False)
        tab(page, "Table")
        camera.take(f"table-{6 * count + 1}", docs=False)
        tab(page, "Map")


def _show(camera: Camera, title: str) -> None:
    page = camera.page
    tab(page, title)
    if title in ASKED:
        button, shown = ASKED[title]
        page.get_by_role("button", name=button).click()
        page.locator(shown).first.wait_for(timeout=PATIENCE)
        page.wait_for_timeout(1000)  # the preview that a suggestion asks for begins after it
        expect(page.get_by_role("button", name="Cancel")).to_be_hidden(timeout=3 * PATIENCE)
    camera.take(title.lower().replace(" ", "-"))


DOCUMENTED = (_compress, _scanned, _tried, _searched)
# In this order: a scan is shown on the untouched subject, a report when there is something to tell.
PARTS = {
    "compress": _compress, "scanned": _scanned, "tried": _tried, "searched": _searched, "over": _over_it,
    "report": _reported, "long": _long,
}  # fmt: skip

if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]), *sys.argv[3:])
