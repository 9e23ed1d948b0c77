"""OpenVINO runs the exported graph, is measured where it is named, and is refused where it computes something else."""

import pytest
import torch
from torch import nn

import workbench as wb
from tests.model.test_layers import subject_of
from workbench.errors import WorkbenchError
from workbench.measure.runtimes import RUNTIMES, onnx
from workbench.measure.runtimes import openvino as runtime
from workbench.model.agreement import agree
from workbench.steps import Quantize, State
from workbench.steps.recipe import Recipe, run


def test_it_is_measured_only_where_it_is_named(images):
    assert "openvino" not in wb.Settings().runtimes
    settings = wb.Settings(seconds=0.02, runtimes=("onnxruntime", "openvino"))
    session = wb.Session(images, settings, threaded=False, autosave=None)
    session.apply(Quantize(bits=8, activations=8))
    assert set(session.current.latency) == {"onnxruntime", "openvino"}
    assert session.current.unavailable == {}


@pytest.mark.parametrize("step", [None, Quantize(bits=8, activations=8)], ids=["float", "int8"])
def test_it_gives_what_onnx_runtime_gives(images, step):
    state = run(images, Recipe((step,) if step else ()))
    inputs, _ = images.task.split("validation").batch(range(32))
    theirs = RUNTIMES["openvino"].prepare(state, images.task.example(2))(inputs)
    ours = onnx.prepare(state, images.task.example(2))(inputs)
    # In integers, halves may go to different sides.
    assert agree(theirs, ours, 1e-5 if step is None else runtime.HALVES)
    assert (theirs.argmax(1) == ours.argmax(1)).double().mean() > 0.9


def test_outputs_that_differ_are_refused(monkeypatch):
    subject = subject_of("plain")
    opened = runtime.opened
    monkeypatch.setattr(runtime, "opened", lambda graph: lambda inputs: opened(graph)(inputs) + 1.0)
    with pytest.raises(WorkbenchError, match="other outputs of this file than ONNX Runtime"):
        RUNTIMES["openvino"].prepare(State.of(subject), subject.task.example(2))


def test_what_it_cannot_run_or_is_not_there_is_told_in_a_line(monkeypatch):
    with pytest.raises(WorkbenchError, match="OpenVINO cannot run this model: "):
        runtime.opened(b"no graph")
    monkeypatch.setattr(runtime, "find_spec", lambda name: None)
    state = State(nn.Linear(2, 2).eval())
    with pytest.raises(WorkbenchError, match=r"pip install 'compression-workbench\[openvino\]'"):
        RUNTIMES["openvino"].prepare(state, (torch.ones(2, 2),))
