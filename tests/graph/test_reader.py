"""The reader's parts: names, sizes, operators, writes, and what a graph may allocate."""

import json
import time

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.sampling import sampled
from workbench.errors import WorkbenchError
from workbench.graph.program import from_text, to_text
from workbench.graph.reader.catalogue import FILLED, PURE, WRITES
from workbench.graph.reader.names import plain_names
from workbench.graph.reader.operators import ARITHMETIC, operators
from workbench.graph.reader.sizes import check_size


class Made(nn.Module):
    """A module of a function and layers."""

    def __init__(self, compute, *layers):
        super().__init__()
        self.compute, self.layers = compute, nn.ModuleList(layers)

    def forward(self, x):
        return self.compute(x, *self.layers)


PICTURES, VECTORS, WORDS = torch.randn(2, 4, 8, 8), torch.randn(2, 6), torch.randn(2, 5, 8)


def rotary(x):
    places = torch.arange(x.shape[1], dtype=torch.float32)
    angles = torch.outer(places, 1.0 / 10_000 ** (torch.arange(0, 8, 2) / 8))
    turned = torch.cat((angles, angles), -1)
    left, right = x.chunk(2, -1)
    return x * turned.cos() + torch.cat((-right, left), -1) * turned.sin()


def windows(x):
    n, c, h, w = x.shape
    x = torch.roll(x.permute(0, 2, 3, 1), (1, 1), (1, 2)).view(n, h // 4, 4, w // 4, 4, c)
    return x.permute(0, 1, 3, 2, 4, 5).contiguous().view(-1, 16, c).mean(1)


def causal(x):
    mask = torch.full((x.shape[1], x.shape[1]), float("-inf")).triu(1)
    return (x @ x.transpose(1, 2) + mask).softmax(-1) @ x


def write_part(x):
    made = torch.zeros_like(x)
    made[:, 0] = x[:, 1] * 2
    made[:, 1:] += x[:, 1:]
    return made


def write_view(x):
    made = x * 2
    made.view(-1)[:3].mul_(3)
    made.relu_()
    return made + 1


TYPICAL = {
    "lstm": (lambda x, m: m(x)[0], WORDS, nn.LSTM(8, 6, 2, batch_first=True, bidirectional=True)),
    "gru": (lambda x, m: m(x)[0], WORDS, nn.GRU(8, 6, batch_first=True)),
    "encoder": (lambda x, m: m(x), WORDS, nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)),
    "decoder": (lambda x, m: m(x, x), WORDS, nn.TransformerDecoderLayer(8, 2, 16, batch_first=True)),
    "rotary places": (rotary, WORDS),
    "windows": (windows, PICTURES),
    "causal mask": (causal, WORDS),
    "einsum": (lambda x: torch.einsum("bij,bkj->bik", x, x), WORDS),
    "interpolation": (lambda x: F.interpolate(x, scale_factor=2, mode="bicubic") + F.interpolate(x, (16, 16)),
    PICTURES),
    "pads": (lambda x: F.pad(F.pad(x, (1, 1, 1, 1), mode="reflect"), (1, 1, 1, 1), mode="circular"), PICTURES),
    "norms": (lambda x, a, b: b(a(x)), PICTURES, nn.InstanceNorm2d(4), nn.GroupNorm(2, 4)),
    "root mean square": (lambda x, m: m(x), WORDS, nn.RMSNorm(8)),
    "pools": (lambda x: F.max_pool2d(x, 2) + F.avg_pool2d(x, 2) + F.adaptive_max_pool2d(x, 4), PICTURES),
    "largest": (lambda x: x.topk(2)[0] + x.sort(-1).values[:, :2], VECTORS),
    "types": (lambda x: x.half().float().double().to(torch.float32).type_as(x), VECTORS),
    "frequencies": (lambda x: torch.fft.fft2(x).real, PICTURES),
    "weight norm": (lambda x, m: m(x), VECTORS, nn.utils.parametrizations.weight_norm(nn.Linear(6, 3))),
    "in place": (lambda x: x.clone().add_(1).mul_(2).relu_().masked_fill_(x > 0, 0.0), VECTORS),
    "in place on a part": (write_part, VECTORS),
    "in place through a view": (write_view, VECTORS),
}  # fmt: skip


@pytest.mark.parametrize("name", sampled(TYPICAL, 10))
def test_what_networks_are_made_of_comes_back_for_any_batch(name):
    compute, example, *layers = TYPICAL[name]
    model = Made(compute, *layers).eval()
    again = from_text(to_text(model, (example,)), dict(model.state_dict()))
    for inputs in (example, torch.cat([example] * 3)):
        kept = inputs.clone()
        with torch.no_grad():
            torch.testing.assert_close(again(inputs), model(inputs))
        assert torch.equal(inputs, kept)


def test_several_outputs_are_a_tuple():
    model = Made(lambda x: {"a": x * 2, "b": None, "c": 3}).eval()
    again = from_text(to_text(model, (VECTORS,)), {})
    made = again(VECTORS)
    assert isinstance(made, tuple)
    assert torch.equal(made[0], VECTORS * 2)
    assert made[1:] == (None, 3)


def test_every_operator_on_the_list_is_what_it_is_listed_as():
    known = operators()
    assert len(known) > 400
    for name in (*PURE.split(), *WRITES.split()):
        full = f"torch.ops.aten.{name}"
        assert full in known, name
        assert known[full].pure in ("", *known), name
        assert not known[full].schema.is_mutable or known[full].pure, name
    assert {f"torch.ops.aten.{name}" for name in FILLED} <= known.keys()


@pytest.mark.parametrize(
    "text", ["s0", "Symbol('s77', positive=True, integer=True)", "2*s0 + 1", "((s0 + 1)//2)",
    "Mul(Integer(2), Symbol('s1'))",
             "FloorDiv(Add(s0, -1), 2)", "Max(1, s0)", "Eq(s0, 2)", "u0"],
)  # fmt: skip
def test_sizes_are_symbols_numbers_and_arithmetic(text):
    check_size(text)


@pytest.mark.parametrize(
    "text", ["", "x", "s", "lambda", "s0.real", "s0[0]", "Symbol('x')", "eval(1)", "s0;s1", "f(s0)",
    "s0 if s1 else 2", "'s0",
             "1e9", "(" * 50 + "s0" + ")" * 50, "s0 s1", "Symbol(", ")", "+", "s0+", "s" * 2000, "\u0660",
             "__import__"],
)  # fmt: skip
def test_anything_else_is_no_size(text):
    with pytest.raises(WorkbenchError, match="size expression"):
        check_size(text)


def test_plain_names_stay_and_others_become_plain_without_meeting():
    names = ["a.weight", "a.b c", "1.bias", "x:y.z", 'a"b.w', "a\nb.w", "a_b_1.w", "..", "type.w", "größe.w"]
    made = plain_names(names)
    assert len(set(made.values())) == len(names)
    for kept in ("a.weight", "a.b c", "1.bias", "x:y.z", "a_b_1.w", "größe.w"):
        assert made[kept] == kept
    assert {made['a"b.w'], made["a\nb.w"]} == {"a_b_2.w", "a_b_3.w"}


def test_many_names_alike_take_no_time():
    began = time.monotonic()
    made = plain_names([f"{chr(34) * number}.w" for number in range(1, 400)] + [f"\n{n}\n" for n in range(20_000)])
    assert len(set(made.values())) == 20_399
    assert time.monotonic() - began < 5


def test_sizes_do_not_grow_without_end():
    with pytest.raises(WorkbenchError, match="more than 64 bits"):
        ARITHMETIC["_operator.mul"](1 << 40, 1 << 40)
    for name, given in (("_operator.floordiv", (1, 0)), ("_operator.pow", (2, 10**9)), ("math.trunc", (float("inf"),))):
        with pytest.raises(WorkbenchError, match="size"):
            ARITHMETIC[name](*given)


def changed(model, example, change):
    facts = json.loads(to_text(model, (example,)))
    change(facts["graph_module"]["graph"]["nodes"])
    return json.dumps(facts).encode(), dict(model.state_dict())


def call(target, name, *inputs):
    given = [{"name": key, "arg": {kind: value}, "kind": 1} for key, kind, value in inputs]
    return {"target": target, "inputs": given, "outputs": [{"as_tensor": {"name": name}}], "name": name}


def test_states_of_another_batch_end_in_an_error_not_beyond_memory():
    """The kernel trusts that states fit the batch; a graph may hold states for two and be given four."""
    model = Made(
        lambda x, m: m(x, (torch.zeros(1, 2, 6), torch.zeros(1, 2, 6)))[0], nn.LSTM(8, 6, batch_first=True)
    ).eval()
    again = from_text(to_text(model, (WORDS,)), dict(model.state_dict()))
    again(WORDS)
    with pytest.raises(WorkbenchError, match="states of"):
        again(torch.cat([WORDS] * 2))


@pytest.mark.parametrize("target", ["relu_.default", "view.default", "dropout.default"])
def test_long_chains_are_read_or_refused_in_seconds(target):
    given = {
        "view.default": [("size", "as_ints", [-1, 6])],
        "dropout.default": [("p", "as_float", 0.1), ("train", "as_bool", False)],
    }
    more = given.get(target, [])

    def change(nodes):
        source = "made_{}" if more else "input"
        nodes[:0] = [call("torch.ops.aten.clone.default", "made_0", ("self", "as_tensor", {"name": "input"}))] + [
            call(f"torch.ops.aten.{target}", f"made_{n + 1}",
                 ("input" if "dropout" in target else "self", "as_tensor", {"name": source.format(n)}), *more)
            for n in range(5000)
        ]  # fmt: skip

    text, tensors = changed(nn.Sequential(nn.Linear(6, 3)), VECTORS, change)
    began = time.monotonic()
    try:
        from_text(text, tensors)
    except WorkbenchError as error:
        assert "followed" in str(error) or "parts in" in str(error) or "reads" in str(error)  # noqa: PT017
    assert time.monotonic() - began < 20
