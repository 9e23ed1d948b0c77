"""ONNX models whose tensors are too many for one file: they lie beside it, and all else is as with others."""

import onnx
import pytest
import torch

import workbench as wb
from workbench.loading.named import CHECKSUMS
from workbench.measure.runtimes import onnx as runtime
from workbench.measure.runtimes import onnx_file
from workbench.measure.runtimes.onnx import convert, opened_model
from workbench.measure.runtimes.onnx_file import DATA, is_large, save, size_of
from workbench.steps import State


@pytest.fixture
def small_files(monkeypatch):
    """Let a file hold next to nothing."""
    monkeypatch.setattr(onnx_file, "MOST", 2_000)
    monkeypatch.setattr(onnx_file, "THRESHOLD", 64)
    monkeypatch.setattr(runtime, "_graphs", type(runtime._graphs)())


def test_a_model_beside_its_tensors_computes_the_same(images, tmp_path):
    example = images.task.example(3)
    graph = convert(State.of(images), example)
    wanted = opened_model(graph)(example)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnx_file, "MOST", 2_000)
        patch.setattr(onnx_file, "THRESHOLD", 64)
        assert is_large(graph)
        assert torch.equal(opened_model(graph)(example), wanted)
        save(graph, tmp_path / "model.onnx")
        assert is_large(graph), "its tensors are in it again"
    assert torch.equal(opened_model(graph)(example), wanted)
    file = tmp_path / "model.onnx"
    assert file.stat().st_size < size_of(file) == sum(path.stat().st_size for path in tmp_path.iterdir())
    assert torch.equal(runtime.open_graph(file)(example), wanted)


@pytest.mark.parametrize("step", [wb.Prune(amount=0.5), wb.Quantize(bits=8, activations=8)])
def test_a_state_is_measured_and_exported(images, small_files, tmp_path, step):
    session = wb.Session(images, wb.Settings(seconds=0.0), threaded=False, autosave=None)
    session.apply(step)
    out = session.export(tmp_path / "out", ("onnx",))
    assert (out / f"model.onnx{DATA}").is_file()
    onnx.checker.check_model(out / "model.onnx")
    assert f"model.onnx{DATA}" in (out / CHECKSUMS).read_text(encoding="utf-8")
    session.export(out, ("onnx",))  # the folder is known as an export's, and replaced


def test_one_file_is_enough_for_others(images, tmp_path):
    save(convert(State.of(images), images.task.example(2)), tmp_path / "model.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
