"""What a notebook's page needs before the report's charts can be drawn on it."""

from __future__ import annotations

from bokeh.io import output_notebook
from bokeh.resources import Resources
from IPython.display import HTML, display

from workbench.report.convert import STYLE


def load_charts() -> None:
    """Put BokehJS, from the installed package, and the report's style on the page of the running notebook."""
    output_notebook(Resources(mode="inline", components=["bokeh"]), hide_banner=True)
    display(HTML(f"<style>{STYLE.read_text(encoding='utf-8')}</style>"))  # type: ignore[no-untyped-call]  # IPython leaves them unannotated
