"""The whole way: record, notebook, and the files made from it."""

import json
import re
import shutil

import nbformat
import pytest

from tests.report.nets import NAME
from workbench import formatting
from workbench.errors import WorkbenchError
from workbench.measure import Measurement, Score
from workbench.report import convert, write_report
from workbench.report.convert import print_pdf, to_html, to_markdown
from workbench.report.notebook import run_template, with_record

# Ledger, latency, trade-off, two training curves, bytes of layers, heat-map, curves; no MACs, for none changed.
CHARTS = 8
SECTIONS = (
    "All numbers", "Where the bytes went", "Speed", "What was tried", "Layer by layer", "Weights before and after",
    "What each layer can take", "What could not be cut", "How it was measured", "How to replay",
)  # fmt: skip


@pytest.fixture(scope="module")
def page(notebook):
    return to_html(notebook, NAME)


@pytest.fixture(scope="module")
def text(notebook):
    return to_markdown(notebook)


def test_the_page_asks_the_network_for_nothing(page):
    without_scripts = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert not re.findall(r"<(?:script|link|img|iframe)[^>]*(?:src|href)\s*=", page)
    assert "http://" not in without_scripts
    assert "https://" not in without_scripts
    assert "default-src 'none'" in page


def test_all_charts_are_on_the_page(page, record):
    assert page.count("data-root-id") == CHARTS + len(record["weights"])
    assert page.count("<details>") == CHARTS + 1  # the histograms share one table


def test_no_input_is_on_the_page(page, text):
    assert "report.headline" not in page
    assert "report.headline" not in text


def test_a_hostile_name_is_text(page, text):
    body = page[page.index("<main>") :]
    assert NAME not in body
    assert "<h1>&lt;script&gt;alert(1)&lt;/script&gt;, compressed</h1>" in body
    assert "<title>&lt;script&gt;" in page
    assert "<script" not in re.sub(r"```.*?```", "", text, flags=re.DOTALL)  # code stays as it is


def test_numbers_of_the_text_are_those_of_the_record(page, text, record):
    after, before = (Measurement.read(record[key]) for key in ("current", "baseline"))
    ratio = formatting.ratio(before.bytes.total / after.bytes.total)
    for wanted in (formatting.score(after.score), f"{ratio} smaller", formatting.score(Score(**record["test"]))):
        assert wanted in page
        assert wanted in text.replace("\\", "")
    for what, count in after.bytes.ledger:
        assert what in text
        assert f"{abs(count):,}" in text


def test_every_section_is_in_text_and_page(page, text):
    for title in SECTIONS:
        assert f"## {title}" in text
        assert f">{title}</h2>" in page


def test_text_has_the_tables_and_no_page_parts(text, record):
    assert text.startswith("# &lt;script&gt;")
    assert "modelled" in text
    assert "cannot be done: " in text
    for row in record["layers"]:
        assert f"`{row['name']}`" in text
    assert "<div" not in text


def test_the_notebook_runs_again_elsewhere(notebook, record, tmp_path):
    made = with_record(notebook, record)
    nbformat.validate(made)
    source = made.cells[0].source
    scope: dict = {}
    exec(source, scope)  # noqa: S102  # our own cell
    assert scope["record"] == json.loads(json.dumps(record))
    assert "record.json" not in source


def test_a_file_appears_whole_or_not_at_all(record, tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    path.write_text("old")

    def fail(*_: object) -> None:
        raise WorkbenchError("a cell of the report failed")

    monkeypatch.setattr("workbench.report.write.run_template", fail)
    with pytest.raises(WorkbenchError, match="cell"):
        write_report(path, record)
    assert path.read_text() == "old"
    assert [found.name for found in tmp_path.iterdir()] == ["report.html"]


@pytest.mark.parametrize("ending", [".html", ".md", ".ipynb"])
def test_the_ending_says_what_is_written(record, notebook, tmp_path, monkeypatch, ending):
    monkeypatch.setattr("workbench.report.write.run_template", lambda *_: notebook)
    path = write_report(tmp_path / "new" / f"report{ending}", record)
    starts = {".html": "<!DOCTYPE html>", ".md": "# ", ".ipynb": "{"}
    assert path.read_text().startswith(starts[ending])
    assert [found.name for found in path.parent.iterdir()] == [path.name]


def test_another_ending_is_refused_before_any_work(tmp_path):
    with pytest.raises(WorkbenchError, match=r"\.html, \.ipynb, \.md, \.pdf"):
        write_report(tmp_path / "report.docx", {})


def test_a_failing_cell_is_told_with_its_cause(record, tmp_path, monkeypatch):
    cells = [nbformat.v4.new_code_cell("{}['current']")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "template.ipynb")
    monkeypatch.setattr("workbench.report.notebook.TEMPLATE", tmp_path / "template.ipynb")
    with pytest.raises(WorkbenchError, match="a cell of the report failed: KeyError"):
        run_template(record, tmp_path)


def test_no_browser_is_told_with_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(convert.shutil, "which", lambda _: None)
    with pytest.raises(WorkbenchError, match="chromium"):
        print_pdf(tmp_path / "a.html", tmp_path / "a.pdf", tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(not any(shutil.which(name) for name in convert.BROWSERS), reason="no Chromium here")
def test_a_pdf_is_printed(notebook, tmp_path):
    (tmp_path / "a.html").write_text(to_html(notebook, NAME, paper=True), encoding="utf-8")
    print_pdf(tmp_path / "a.html", tmp_path / "a.pdf", tmp_path)
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
