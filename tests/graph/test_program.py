"""A graph's text is data: what it may say is known, and anything else is refused before torch reads it."""

import copy
import json

import pytest
import torch
from torch import nn

from tests import nets
from tests.sampling import sampled
from workbench.errors import WorkbenchError
from workbench.graph import coupled_groups, cut, trace
from workbench.graph.program import from_text, to_text
from workbench.graph.remake import as_module

NETS = ("plain", "padded", "mobile", "convnext", "grouped", "vit", "text", "mlp", "two_inputs", "tied",
        "shared", "flattened", "bert", "cross")  # fmt: skip


def tensors(model):
    return dict(model.state_dict())


@pytest.mark.parametrize("name", sampled(NETS, 6))
def test_a_net_comes_back_with_the_same_outputs_for_any_batch(name):
    model, example = nets.build(name)
    text = to_text(model, example)
    again = from_text(text, tensors(model))
    for inputs in (example, tuple(torch.cat([value] * 3) for value in example)):
        with torch.no_grad():
            torch.testing.assert_close(again(*inputs), model(*inputs))
    assert to_text(model, example) == text
    if name == "tied":  # the traced program knows a tied parameter under one of its names only
        return
    assert {name for name, _ in again.named_parameters(remove_duplicate=False)} == {
        name for name, _ in model.named_parameters(remove_duplicate=False)
    }


def test_the_text_holds_no_values_and_no_paths():
    model, example = nets.build("plain")
    text = to_text(model, example)
    assert len(text) < 100_000
    assert b".py" not in text
    assert b"stack_trace" not in text
    assert b"/home" not in text


@pytest.fixture(scope="module")
def plain():
    model, example = nets.build("plain")
    return json.loads(to_text(model, example)), tensors(model)


def change(facts, key, value, first=True):
    """Replace the values under a key, wherever it is."""
    changed = 0

    def walk(part):
        nonlocal changed
        if isinstance(part, dict):
            for name in part:
                if name == key and isinstance(part[name], str) and not (first and changed):
                    part[name] = value
                    changed += 1
                else:
                    walk(part[name])
        elif isinstance(part, list):
            for inner in part:
                walk(inner)

    facts = copy.deepcopy(facts)
    walk(facts)
    assert changed, f"there is no {key} to change"
    return facts


TARGETS = [
    "torch.load", "os.system", "builtins.eval", "builtins.exec", "torch.ops.aten.add.Tensor.__class__",
    "torch.ops.prims.add", "_operator.methodcaller", "_operator.call", "__main__.f", "torch.ops.aten", "subprocess.run",
    "torch.hub.load", "torch.ops.aten.add.Tensor\nimport os", "torch.utils.cpp_extension.load", "torch.ops.inductor.x",
    "math.sqrt", "torch._higher_order_ops.cond", "#torch.ops.aten.relu.default",
]  # fmt: skip


@pytest.mark.parametrize("target", TARGETS)
def test_foreign_targets_are_refused(plain, target):
    facts, values = plain
    with pytest.raises(WorkbenchError, match="which a program may not"):
        from_text(json.dumps(change(facts, "target", target)).encode(), values)


EXPRESSIONS = [
    "__import__('os').system('touch ran')", "Symbol('s0').__class__", "eval('1')", "lambda: 0", "exec", "s0; import os",
    "open('x')", "Symbol.__subclasses__()", "[x for x in ()]", "getattr(s0, 'x')", "Function('f')", "Lambda(s0, s0)",
]  # fmt: skip


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_expressions_with_code_are_refused(plain, expression):
    facts, values = plain
    with pytest.raises(WorkbenchError, match="no size expression"):
        from_text(json.dumps(change(facts, "expr_str", expression)).encode(), values)


def test_guards_are_refused(plain):
    facts, values = plain
    for guards in (["__import__('os')"], ["True"], "True"):
        with pytest.raises(WorkbenchError, match="guards, which are code"):
            from_text(json.dumps({**facts, "guards_code": guards}).encode(), values)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"{}", b"null", b'{"graph_module": {}}', b'{"graph_module": 5}',
                                  b'{"graph_module": {"signature": {"input_specs": [{"parameter": {}}]}}}',
                                  b"[" * 100_000, b"\xff\xfe"])  # fmt: skip
def test_text_that_is_no_graph_is_refused(plain, text):
    with pytest.raises(WorkbenchError, match="graph"):
        from_text(text, plain[1])


def test_missing_tensors_and_tensors_of_another_shape_are_refused(plain):
    facts, values = plain
    text = json.dumps(facts).encode()
    with pytest.raises(WorkbenchError, match=r"wants the tensor head\.weight, which is not in the file"):
        from_text(text, {name: value for name, value in values.items() if name != "head.weight"})


def test_every_part_of_the_text_may_be_damaged(plain):
    """Take out each of the larger parts in turn: an error of the family, or a program, but no other error."""
    facts, values = plain
    for key in facts["graph_module"]:
        damaged = copy.deepcopy(facts)
        del damaged["graph_module"][key]
        try:
            from_text(json.dumps(damaged).encode(), values)
        except WorkbenchError:
            continue


class Constants(torch.nn.Module):
    """Holds tensors that are no parameters, one of them in a buffer that is not stored with the weights."""

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(3, 3)
        self.mean = torch.tensor([0.5, 0.25, 0.125])
        self.register_buffer("places", torch.arange(3), persistent=False)

    def forward(self, x):
        return (self.linear(x - self.mean) + self.places).mean(1)


def test_constants_come_back_as_they_were():
    model, x = Constants().eval(), torch.randn(2, 3)
    again = from_text(to_text(model, (x,)), model.state_dict())
    assert torch.equal(again(x), model(x))
    assert again.state_dict().keys() == model.state_dict().keys()
    # And once more, from what was read.
    third = from_text(to_text(again, (x,)), again.state_dict())
    assert torch.equal(third(x), model(x))


BAD_CONSTANTS = {
    "too few bytes": ({"data": "AAAA"}, "constant of 3 bytes for"),
    "no base64": ({"data": "???"}, "no base64"),
    "another type": ({"dtype": "complex64"}, "constant of the type 'complex64'"),
    "sizes below zero": ({"shape": [-3]}, "the sizes"),
    "many sizes": ({"shape": [1] * 40}, "entries where"),
    "sizes without end": ({"shape": [2**62, 4]}, "constant of 12 bytes"),
}


@pytest.mark.parametrize("name", BAD_CONSTANTS)
def test_constants_are_checked_before_they_are_made(name):
    change, message = BAD_CONSTANTS[name]
    model, x = Constants().eval(), torch.randn(2, 3)
    facts = json.loads(to_text(model, (x,)))
    facts["constants"]["mean"].update(change)
    with pytest.raises(WorkbenchError, match=message):
        from_text(json.dumps(facts).encode(), model.state_dict())
    del facts["constants"]["mean"]
    with pytest.raises(WorkbenchError, match="which is not in the file"):
        from_text(json.dumps(facts).encode(), model.state_dict())


def test_a_table_is_a_module_again_and_can_be_cut():
    model, example = nets.build("bert")
    again = from_text(to_text(model, example), model.state_dict())
    table = again.get_submodule("embed")
    assert isinstance(table, nn.Embedding)
    assert (table.num_embeddings, table.embedding_dim, table.padding_idx) == (20, 12, 0)
    smaller = cut(again, coupled_groups(again, example), {"attention.dense": [0, 5]}).get_submodule("embed")
    assert isinstance(smaller, nn.Embedding)
    assert smaller.embedding_dim == 10


class Rarely(nn.Module):
    """Operators that few nets call, all of which only compute."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(6, 6)

    def forward(self, x):
        turned = (x.mT.mH @ self.fc(x).mT).mH
        shuffled = torch.native_channel_shuffle(x[:, :, :, None], 2)[..., 0]
        odd = torch.special.expit(x) + torch.special.erf(x) + torch.special.log1p(x.abs())
        return turned.sum(2) + shuffled.sum(2) + odd.diff(dim=2).sum(2) + torch.signbit(x).float().sum(2)


def test_rare_operators_that_only_compute_are_read():
    torch.manual_seed(0)
    model, example = Rarely().eval(), (torch.randn(2, 4, 6),)
    again = from_text(to_text(model, example), model.state_dict())
    inputs = torch.randn(5, 4, 6)
    torch.testing.assert_close(again(inputs), model(inputs))


def from_text_again(model, x):
    return from_text(to_text(model, (x,)), tensors(model))


def module_again(model, x):
    return as_module(trace(model, (x,)), model)


class ComputedBias(nn.Module):
    """As the attention of BEiT and EVA: a layer without a bias is given one that is put together on the way."""

    def __init__(self):
        super().__init__()
        self.qkv, self.norm, self.head = nn.Linear(8, 24, bias=False), nn.BatchNorm1d(8), nn.Linear(8, 3)
        self.q_bias, self.v_bias = nn.Parameter(torch.randn(8)), nn.Parameter(torch.randn(8))
        self.shift = nn.Parameter(torch.randn(8))

    def forward(self, x):
        bias = torch.cat([self.q_bias, torch.zeros(8), self.v_bias])
        query, key, value = nn.functional.linear(x, self.qkv.weight, bias).chunk(3, -1)
        mixed = torch.softmax(query * key, -1) * value
        mixed = nn.functional.conv1d(mixed[:, None], self.head.weight[:, None, :1], self.shift[:3] * 2).mean(1)
        return self.head(mixed[:, :8] + x)


@pytest.mark.parametrize("read", [from_text_again, module_again], ids=["file", "graph"])
def test_a_bias_that_is_computed_is_not_left_out(read):
    torch.manual_seed(0)
    model, x = ComputedBias().eval(), torch.randn(4, 8)
    with torch.no_grad():
        torch.testing.assert_close(read(model, x)(x), model(x), rtol=1e-6, atol=1e-6)
