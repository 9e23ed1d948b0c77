"""The executed notebook as HTML, Markdown or PDF."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from bokeh.resources import INLINE
from nbconvert import HTMLExporter, MarkdownExporter
from pygments.formatters import HtmlFormatter  # type: ignore[import-untyped]  # no stubs
from traitlets.config import Config

from workbench.errors import WorkbenchError, first_line

PAGE = Path(__file__).with_name("page")
STYLE = PAGE / "report.css"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# The page is laid out on a screen as wide as the paper's text (A4 without margins, in CSS pixels), because figures
# keep the width they were drawn at.
PAPER_WIDTH = 688
PRINT_SECONDS = 120
# Sections of the template; their titles are its own, so there is nothing in them to escape.
HEADING = re.compile(r'<h2 id="([^"]+)">([^<]+)</h2>')


def to_html(notebook: Any, title: str, *, paper: bool = False) -> str:
    """Return a page that asks the network for nothing: BokehJS is in it, and its policy forbids everything else.

    For `paper` the page has no margins of its own.
    """
    config = _config(["text/html", "text/markdown"])
    exporter = HTMLExporter(config=config, template_name="page", extra_template_basedirs=[str(PAGE.parent)])  # type: ignore[no-untyped-call]
    exporter.exclude_anchor_links = True
    resources = {
        "page_title": title,
        "paper": paper,
        "style": STYLE.read_text(encoding="utf-8") + str(HtmlFormatter(style="friendly").get_style_defs(".code")),
        "bokeh": "\n".join(INLINE.clone(components=["bokeh"]).js_raw),
    }
    return _with_contents(str(exporter.from_notebook_node(notebook, resources)[0]))


def _with_contents(page: str) -> str:
    """Return a page with links to its sections before the first of them."""
    sections = HEADING.findall(page)
    first = HEADING.search(page)
    if first is None or len(sections) < 3:
        return page
    links = "".join(f'<li><a href="#{place}">{title}</a></li>' for place, title in sections)
    start = page.rindex("<div", 0, first.start())
    return f'{page[:start]}<nav class="workbench-report contents"><ol>{links}</ol></nav>{page[start:]}'


def to_markdown(notebook: Any) -> str:
    """Return text and tables; a chart is the table of its numbers."""
    exporter = MarkdownExporter(config=_config(["text/markdown"]))  # type: ignore[no-untyped-call]
    text = str(exporter.from_notebook_node(notebook)[0])
    lines = [line.rstrip() for line in text.splitlines()]
    single_spaced = [line for n, line in enumerate(lines) if line or (n and lines[n - 1])]
    return "\n".join(single_spaced).strip() + "\n"


def _config(kinds: list[str]) -> Config:
    config = Config()
    config.TemplateExporter.exclude_input = True
    config.TemplateExporter.exclude_input_prompt = True
    config.TemplateExporter.exclude_output_prompt = True
    config.NbConvertBase.display_data_priority = kinds
    config.TagRemovePreprocessor.enabled = True
    config.TagRemovePreprocessor.remove_cell_tags = {"record", "charts"}
    return config


def print_pdf(page: Path, target: Path, folder: Path) -> None:
    """Print an HTML page into `target` with Chromium, which keeps its profile in `folder`.

    Raises:
        WorkbenchError: There is no Chromium, or it failed.
    """
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser is None:
        raise WorkbenchError(
            "a PDF is printed by Chromium or Google Chrome, and none is on the PATH; install the package "
            "'chromium', or write .html and print it from a browser"
        )
    command = [
        browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
        "--hide-scrollbars", "--force-device-scale-factor=2",
        f"--user-data-dir={folder / 'profile'}", f"--window-size={PAPER_WIDTH},1200", "--no-pdf-header-footer",
        "--virtual-time-budget=30000", f"--print-to-pdf={target}", page.as_uri(),
    ]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PRINT_SECONDS, check=False)  # noqa: S603  # a fixed program, no shell
    except (OSError, subprocess.TimeoutExpired) as error:
        raise WorkbenchError(f"{browser} could not print the report: {first_line(error)}") from error
    if not target.is_file() or not target.stat().st_size:
        last = (done.stderr.strip().splitlines() or ["it wrote nothing"])[-1]
        raise WorkbenchError(f"{browser} could not print the report: {last}")
