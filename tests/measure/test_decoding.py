"""Weights as codes in ONNX files: small, equal to the bit, and computed once as the file is opened."""

from collections import Counter

import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from workbench.checkpoint.coding import (
    AdditivePowers,
    Binary,
    Codebook,
    Floating,
    PowersOfTwo,
    Ternary,
    fitted,
    grid,
)
from workbench.measure.runtimes.onnx import convert, open_graph
from workbench.model.quantizer import INPUT, ActivationQuantizer, attach
from workbench.steps import State

WEIGHT = torch.randn(6, 5, 3, 3, generator=torch.Generator().manual_seed(0))
CODINGS = {
    **{f"{bits} bits": grid(WEIGHT, bits, 0, symmetric=True) for bits in range(2, 9)},
    "one grid": grid(WEIGHT, 4, None, symmetric=False),
    "not symmetric": grid(WEIGHT, 5, 0, symmetric=False),
    "8 bits, not symmetric": grid(WEIGHT, 8, 0, symmetric=False),
    "groups": grid(WEIGHT, 4, 0, symmetric=True, group=2),
    "groups, other dimension": grid(WEIGHT, 3, 1, symmetric=False, group=4),
    "codebook": Codebook(3, torch.linspace(-2, 2, 7)),
    "large codebook": Codebook(8, torch.linspace(-2, 2, 200)),
    "binary": fitted(Binary, WEIGHT, 1, 0, "mse"),
    "ternary": fitted(Ternary, WEIGHT, 2, None, "mse"),
    "powers": fitted(PowersOfTwo, WEIGHT, 4, 0, "min-max"),
    "sums of powers": fitted(AdditivePowers, WEIGHT, 5, 0, "min-max"),
    **{name: Floating.of(name, torch.full((6,), 0.03), 0) for name in ("fp8 e4m3", "fp8 e5m2")},
    **{name: Floating.of(name, torch.tensor(1.0)) for name in ("fp16", "bf16")},
}


class Normed(nn.Module):
    """A convolution with a norm behind it, and a linear layer."""

    def __init__(self, weight):
        super().__init__()
        self.conv, self.norm, self.fc = nn.Conv2d(5, 6, 3, bias=False), nn.BatchNorm2d(6), nn.Linear(6, 4)
        self.conv.weight = nn.Parameter(weight)
        self.norm.running_var.fill_(1.7)

    def forward(self, x):
        return self.fc(F.relu(self.norm(self.conv(x))).mean((2, 3)))


def state_of(coding):
    torch.manual_seed(0)
    return State(Normed(coding.round(WEIGHT)).eval(), {"conv.weight": coding})


def alone(proto, name):
    """Return what a runtime computes for a value that is read from constants alone."""
    made = {output: node for node in proto.graph.node for output in node.output}
    wanted, nodes = [name], []
    while wanted:
        if (node := made.get(wanted.pop())) is not None:
            nodes.insert(0, node)
            wanted += node.input
    output = onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
    graph = onnx.helper.make_graph(list({node.output[0]: node for node in nodes}.values()), "one", [], [output],
                                   proto.graph.initializer)  # fmt: skip
    model = onnx.helper.make_model(graph, opset_imports=proto.opset_import, ir_version=proto.ir_version)
    return onnxruntime.InferenceSession(model.SerializeToString()).run(None, {})[0]


@pytest.mark.parametrize("name", CODINGS)
def test_values_are_equal_to_the_bit(name):
    state = state_of(CODINGS[name])
    proto = convert(state, (torch.randn(2, 5, 6, 6),))
    assert "conv.weight" not in {value.name for value in proto.graph.initializer}
    decoded = torch.from_numpy(alone(proto, "conv.weight.values"))
    assert torch.equal(decoded, state.model.conv.weight.detach())
    inputs = (torch.randn(3, 5, 6, 6),)
    with torch.no_grad():
        torch.testing.assert_close(open_graph(proto.SerializeToString())(inputs), state.model(*inputs))


@pytest.mark.parametrize("name", CODINGS)
def test_a_runtime_computes_them_as_it_opens_the_file_and_folds_the_norm(name, tmp_path):
    proto = convert(state_of(CODINGS[name]), (torch.randn(2, 5, 6, 6),))
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath, options.log_severity_level = str(tmp_path / "opened.onnx"), 4
    onnxruntime.InferenceSession(proto.SerializeToString(), options)
    kinds = Counter(node.op_type for node in onnx.load(tmp_path / "opened.onnx").graph.node)
    assert kinds.keys() <= {"Conv", "FusedConv", "ReorderInput", "ReorderOutput", "ReduceMean", "Gemm", "Relu"}


@pytest.mark.parametrize("bits", range(1, 9))
def test_codes_are_packed_without_gaps(bits):
    weight = torch.randn(64, 64, 3, 3, generator=torch.Generator().manual_seed(0))
    coding = Codebook(bits, torch.linspace(-1, 1, 2**bits))
    model = nn.Conv2d(64, 64, 3, bias=False).eval()
    plain = len(convert(State(model), (torch.randn(2, 64, 4, 4),)).SerializeToString()) - 4 * weight.numel()
    model.weight = nn.Parameter(coding.round(weight))
    proto = convert(State(model, {"weight": coding}), (torch.randn(2, 64, 4, 4),))
    assert len(proto.SerializeToString()) - plain <= bits * weight.numel() / 8 + 4 * 2**bits + 900


def test_constants_that_are_equal_are_stored_once():
    codings = {f"{number}.weight": grid(torch.ones(8, 8, 3, 3), 3, 0, symmetric=True) for number in range(3)}
    model = nn.Sequential(*(nn.Conv2d(8, 8, 3, padding=1) for _ in range(3))).eval()
    for number in range(3):
        model[number].weight = nn.Parameter(codings[f"{number}.weight"].round(model[number].weight.detach()))
    proto = convert(State(model, codings), (torch.randn(2, 8, 4, 4),))
    own = [value.name for value in proto.graph.initializer if value.name.startswith("~")]
    assert len(own) <= 7


def test_layers_that_round_what_enters_decode_weights_without_integers():
    coding = Codebook(4, torch.linspace(-1, 1, 16))
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).eval()
    model[0].weight = nn.Parameter(coding.round(model[0].weight.detach()))
    attach(model[0], INPUT, ActivationQuantizer(8, -2.0, 2.0))
    inputs = torch.randn(2, 3, 6, 6)
    proto = convert(State(model, {"0.weight": coding}), (inputs,))
    assert "0.weight.codes" in {value.name for value in proto.graph.initializer}
    with torch.no_grad():
        torch.testing.assert_close(open_graph(proto.SerializeToString())((inputs,)), model(inputs))
