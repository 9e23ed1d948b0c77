"""The exported folder: whole or absent, checked on the way out and on the way in."""

import json
import os
import subprocess
import sys

import pytest
import torch

import workbench as wb
from workbench.errors import WorkbenchError
from workbench.export import FORMATS
from workbench.export.fresh import FRESH
from workbench.export.verify import Verification
from workbench.jobs.progress import Progress
from workbench.loading.exported import hash_file
from workbench.model.twin import sharing_copy

FILES = {
    "model.safetensors", "program.json.gz", "model.onnx", "model.pt2", "recipe.json", "measurement.json", "README.md",
    "checksums.txt",
}  # fmt: skip

VERIFIED = Verification("model.onnx", "ONNX Runtime", 1, 0.9, 0.9, 1.0, 0.0, 400, 0.005, True)


@pytest.fixture(scope="module")
def exported(images, tmp_path_factory):
    """A session with a pruned, cut and quantized model, and the folder it was exported to, with all formats."""
    root = tmp_path_factory.mktemp("exported")
    session = wb.Session(images, wb.Settings(seconds=0.02), threaded=False, autosave=None)
    tuned = (wb.PruneChannels(amount=0.25), wb.FineTune(learning_rate=0.02), wb.Prune(amount=0.3))
    for step in (*tuned, wb.Quantize(activations=8)):
        session.apply(step)
    session.export(root / "out")
    return session, root / "out"


@pytest.fixture
def folder(exported, tmp_path):
    """A copy of the exported folder, to be damaged."""
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in exported[1].iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    return copy


def test_the_folder_is_complete_and_nothing_lies_beside_it(exported):
    session, out = exported
    assert {path.name for path in out.iterdir()} == FILES
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    assert session.saved_to == str(out)
    for line in (out / "checksums.txt").read_text().splitlines():
        digest, _, name = line.partition("  ")
        assert hash_file(out / name) == digest
    assert (out / "model.safetensors").stat().st_size == session.current.bytes.total


def test_the_cards_code_runs_in_the_folder(exported, monkeypatch):
    session, out = exported
    monkeypatch.chdir(out)
    use = (out / "README.md").read_text().partition("## Use")[2]
    assert "float32 [n, 1, 12, 12]" in use
    blocks = [block.partition("```")[0] for block in use.split("```python")[1:]]
    assert len(blocks) == len(FORMATS)
    zeros = torch.zeros(1, 1, 12, 12)
    with torch.no_grad():
        wanted = session.state.model.eval()(zeros)
    for block in blocks:
        found: dict = {}
        exec(block, found)  # noqa: S102  # what a reader of the card would run
        given = found["outputs"]
        outputs = torch.as_tensor(given[0] if isinstance(given, list) else given).detach()
        assert outputs.shape == wanted.shape
        torch.testing.assert_close(outputs, wanted, atol=0.3, rtol=0.1)  # integer kernels add in another order


@pytest.mark.parametrize("exact", [True, False])
def test_the_card_says_how_the_onnx_file_holds_integers(images, tmp_path, open_session, monkeypatch, exact):
    monkeypatch.setattr("workbench.measure.runtimes.integers.signed_products_exact", lambda: exact)
    session = open_session(images)
    session.apply(wb.Quantize(activations=8))
    # Where signed products are not exact, a file that holds them is not what was simulated, and is not exported.
    monkeypatch.setattr("workbench.export.folder.verify", lambda *_: VERIFIED)
    card = (session.export(tmp_path / "out", ("onnx",)) / "README.md").read_text()
    assert ("8-bit weights as signed integers" in card) == exact
    assert ("8-bit weights as unsigned integers" in card) == (not exact)
    other = open_session(images)
    other.apply(wb.Quantize(bits=8))  # weights alone are not multiplied as integers
    card = (other.export(tmp_path / "weights", ("onnx",)) / "README.md").read_text()
    assert "8-bit weights" not in card


def test_the_record_and_the_card_say_what_was_measured(exported):
    session, out = exported
    record = json.loads((out / "measurement.json").read_text())
    assert wb.Measurement.read(record["current"]) == session.current
    assert [row["file"] for row in record["verified"]] == [made.file for made in FORMATS.values()]
    assert all(row["agreement"] >= 0.995 and row["n"] == 600 for row in record["verified"])
    assert record["test"]["split"] == "test"
    assert record["test"]["n"] == 400
    card = (out / "README.md").read_text()
    assert f"{session.current.bytes.total:,}" in card
    assert "modelled" in card
    assert "wb.PruneChannels(amount=0.25)" in card
    assert wb.Recipe.load(out / "recipe.json") == session.recipe


OPEN_ELSEWHERE = """
import sys, torch
import workbench as wb
model = wb.load_model(sys.argv[1])
inputs = torch.load(sys.argv[2], weights_only=True)
with torch.no_grad():
    torch.save(model.eval()(inputs), sys.argv[3])
assert not any(name.startswith("tests") for name in sys.modules)
"""


def test_another_process_opens_it_without_the_source(exported, tmp_path):
    session, out = exported
    (inputs,) = session.subject.task.example(100)
    torch.save(inputs, tmp_path / "in.pt")
    arguments = [sys.executable, "-c", OPEN_ELSEWHERE, str(out), str(tmp_path / "in.pt"), str(tmp_path / "out.pt")]
    root = os.path.dirname(os.path.dirname(wb.__file__))  # noqa: PTH120  # of a path that is a text
    done = subprocess.run(
        arguments, cwd=tmp_path, env={**os.environ, "PYTHONPATH": root}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    got = torch.load(tmp_path / "out.pt", weights_only=True)
    with torch.no_grad():
        torch.testing.assert_close(got, session.state.model(inputs), rtol=1e-5, atol=1e-5)


def test_it_is_a_subject_again_and_can_be_compressed_further(exported, open_session):
    session, out = exported
    again = wb.load(out, task=session.subject.task)
    assert again.codings.keys() == session.state.codings.keys()
    further = open_session(again, wb.Settings(seconds=0.0, runtimes=("eager",)))
    assert further.baseline.score.value == pytest.approx(session.current.score.value, abs=1e-12)
    assert further.baseline.bytes.total == session.current.bytes.total
    assert {layer.name for layer in further.layers} == {layer.name for layer in session.layers}
    assert further.apply(wb.Prune(amount=0.6)).nonzero < further.baseline.nonzero


@pytest.mark.parametrize("name", sorted(FILES - {"checksums.txt"}))
def test_a_changed_byte_is_refused(folder, name):
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(bytes(content))
    with pytest.raises(WorkbenchError, match=rf"{name} is not what was exported: its checksum differs"):
        wb.load_model(folder)


@pytest.mark.parametrize("name", sorted(FILES - {"checksums.txt"}))
def test_a_missing_file_is_refused(folder, name):
    (folder / name).unlink()
    with pytest.raises(WorkbenchError, match=rf"{name} is missing"):
        wb.load_model(folder)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "sub/../../x"])
def test_a_list_that_names_files_outside_is_refused(folder, name):
    with (folder / "checksums.txt").open("a") as file:
        file.write(f"{'0' * 64}  {name}\n")
    with pytest.raises(WorkbenchError, match="outside of the folder"):
        wb.load_model(folder)


def test_a_folder_that_is_no_export_is_refused(tmp_path, folder):
    with pytest.raises(WorkbenchError, match="not a folder that export wrote"):
        wb.load_model(tmp_path)
    (folder / "checksums.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(WorkbenchError, match="not a folder that export wrote"):
        wb.load_model(folder)
    (folder / "checksums.txt").write_text("")
    with pytest.raises(WorkbenchError, match=r"has no model\.safetensors"):
        wb.load_model(folder)


def again_with_checksums(folder):
    lines = [f"{hash_file(path)}  {path.name}" for path in sorted(folder.iterdir()) if path.name != "checksums.txt"]
    (folder / "checksums.txt").write_text("\n".join(lines) + "\n")


def test_a_damaged_archive_of_the_graph_is_refused(folder):
    for content in (b"", b"hello", (folder / "program.json.gz").read_bytes()[:-20]):
        (folder / "program.json.gz").write_bytes(content)
        again_with_checksums(folder)
        with pytest.raises(WorkbenchError, match=r"program\.json\.gz cannot be read|the graph is no JSON"):
            wb.load_model(folder)


def test_a_folder_in_use_is_left_alone_and_an_earlier_export_is_replaced(session, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    (tmp_path / "file").write_text("a file")
    for name in ("mine", "file"):
        with pytest.raises(WorkbenchError, match="in use by something else"):
            session.export(tmp_path / name, ("safetensors",))
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"
    assert (tmp_path / "file").read_text() == "a file"
    first = session.export(tmp_path / "deep" / "out", ("safetensors", "pt2"))
    assert (first / "model.pt2").exists()
    session.apply(wb.Prune(amount=0.5))
    second = session.export(tmp_path / "deep" / "out", ("safetensors",))
    assert not (second / "model.pt2").exists()
    assert wb.Recipe.load(second / "recipe.json") == session.recipe


@pytest.mark.parametrize("formats", [(), ("zip",), ("safetensors", "gguf")])
def test_unknown_formats_are_refused_before_any_work(session, tmp_path, formats):
    with pytest.raises(WorkbenchError, match="formats are safetensors, onnx, pt2"):
        session.export(tmp_path / "out", formats)
    assert not (tmp_path / "out").exists()


def only_autosave(tmp_path):
    return {path.name for path in tmp_path.iterdir()} <= {"autosave"}


def test_a_file_that_gives_other_answers_is_not_exported(session, tmp_path, monkeypatch):
    import dataclasses

    honest = FORMATS["safetensors"]

    def lying(folder, state, context):
        weights = {name: torch.randn_like(value) for name, value in state.model.named_parameters()}
        honest.write(folder, state.with_model(sharing_copy(state.model, weights)), context)

    monkeypatch.setitem(FORMATS, "safetensors", dataclasses.replace(honest, write=lying))
    with pytest.raises(
        WorkbenchError,
        match=r"model\.safetensors, reloaded in .* they may differ by 0\.50 points, so it was not exported",
    ):
        session.export(tmp_path / "out", ("safetensors",))
    assert only_autosave(tmp_path)


def test_a_full_disk_leaves_nothing_behind(session, tmp_path, monkeypatch):
    import dataclasses

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(FORMATS, "safetensors", dataclasses.replace(FORMATS["safetensors"], write=full))
    with pytest.raises(WorkbenchError, match=r"out cannot be written: .*No space left"):
        session.export(tmp_path / "out", ("safetensors",))
    assert only_autosave(tmp_path)


def test_an_export_that_was_stopped_leaves_the_earlier_one(session, tmp_path):
    session.export(tmp_path / "out", ("safetensors",))
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    session.apply(wb.Prune(amount=0.9))
    asked = []

    def stop():
        asked.append(True)
        return len(asked) > 12

    with pytest.raises(wb.Cancelled):
        session.export(tmp_path / "out", ("safetensors",), Progress(None, stop))
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    assert {path.name for path in tmp_path.iterdir()} <= {"autosave", "out"}


def test_names_are_text_and_not_markup(images, open_session, tmp_path):
    subject = wb.Subject("<script>alert(1)</script> | `x`", images.model, images.task)
    session = open_session(subject, wb.Settings(seconds=0.0, runtimes=("eager",)))
    out = session.export(tmp_path / "out", ("safetensors",))
    assert "<script>" not in (out / "README.md").read_text()


def test_a_regression_is_exported_and_compared_by_value(regression, open_session, tmp_path):
    session = open_session(regression)
    session.apply(wb.Quantize(bits=8))
    out = session.export(tmp_path / "out", ("safetensors", "onnx"))
    record = json.loads((out / "measurement.json").read_text())
    assert record["test"] is None
    assert all(row["agreement"] == 1.0 for row in record["verified"])


def test_a_file_that_needs_this_process_is_not_exported(session, tmp_path, monkeypatch):
    """Whoever opens it has not imported what happens to be loaded here."""
    import dataclasses

    def broken(folder, state, context):
        (folder / "model.safetensors").write_bytes(b"nothing")

    monkeypatch.setitem(FORMATS, "safetensors", dataclasses.replace(FORMATS["safetensors"], write=broken))
    with pytest.raises(WorkbenchError, match=r"model\.safetensors was not exported: in a process without the model's"):
        session.export(tmp_path / "out", ("safetensors",))
    monkeypatch.undo()
    session.export(tmp_path / "out", ("safetensors",))  # the process answers on


def test_the_process_that_opens_files_is_started_again_when_it_has_died(session, tmp_path):
    session.export(tmp_path / "out", ("safetensors",))
    FRESH._running.kill()
    FRESH._running.wait()
    session.export(tmp_path / "out", ("safetensors", "pt2"))


def test_two_files_that_are_open_at_once_are_told_apart(session, tmp_path):
    session.export(tmp_path / "whole", ("safetensors",))
    session.apply(wb.Prune(amount=0.9))
    session.export(tmp_path / "pruned", ("safetensors",))
    inputs = session.subject.task.example(3)
    whole, pruned = (FRESH.opened("safetensors", tmp_path / name) for name in ("whole", "pruned"))
    for forward, model in (
        (whole, session.subject.model),
        (pruned, session.state.model),
        (whole, session.subject.model),
    ):
        with torch.no_grad():
            torch.testing.assert_close(forward(inputs), model(*inputs))
