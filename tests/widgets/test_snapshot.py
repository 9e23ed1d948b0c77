"""What a notebook holds of the panel when it is opened without a kernel."""

from __future__ import annotations

import os
import sys
from html.parser import HTMLParser
from pathlib import Path

import nbformat
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient

from widgets.snapshot import html
from workbench.session.session import Session
from workbench.steps import Prune, Quantize

ROOT = Path(__file__).parents[2]
CELLS = (
    "import workbench as wb\n"
    "from widgets import Panel\n"
    "from tests.conftest import QUICK\n"
    "from tests.subjects import vectors_subject\n"
    "session = wb.Session(vectors_subject(), QUICK, threaded=False, autosave=None)",
    "Panel(session)",
    "session.apply(wb.Prune(amount=0.75));",
)


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.words.append(data)


def test_it_says_what_the_session_is(session: Session) -> None:
    assert "Not measured yet" in html(session)
    session.apply(Prune(layers="conv2", amount=0.75))
    session.apply(Quantize(layers="conv*", bits=4))
    found = Tags(html(session))
    text = " ".join(found.words)
    assert "state 2" in text
    assert "Prune" in text
    assert f"{session.current.score.value * 100:.2f} %" in text
    rows = {found.words[place]: found.words[place + 1 : place + 6] for place in range(len(found.words) - 5)}
    assert rows["conv2"][-2:] == ["25 %", "4"]
    assert rows["fc"][-2:] == ["100 %", "32"]
    assert not {"script", "style", "link", "img"} & set(found.tags)


def test_names_cannot_smuggle_markup_in(session: Session, monkeypatch) -> None:
    monkeypatch.setattr(
        type(session),
        "layers",
        (session.layers[0].__class__(**{**session.layers[0].__dict__, "name": "<script>x</script>"}),),
    )
    assert "<script>" not in html(session)


def test_a_notebook_that_was_run_holds_the_newest_state(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    manager = KernelManager()
    manager.kernel_spec.argv[0] = sys.executable  # of this environment, whatever kernels the machine knows
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    client = NotebookClient(
        notebook, km=manager, timeout=120, store_widget_state=False, resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute(cleanup_kc=True)
    live, still = notebook.cells[1].outputs
    assert "application/vnd.jupyter.widget-view+json" in live.data
    assert "state 1" in still.data["text/html"]
    assert "amount=0.75" in still.data["text/html"]
    assert len(nbformat.writes(notebook)) < 200_000
