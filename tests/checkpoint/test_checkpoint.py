"""The file on disk has exactly the bytes that were announced, comes back, and betrays every damage."""

import json
import struct
import zlib
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save, save_file
from torch import nn

from tests import nets
from workbench.checkpoint.checkpoint import header_bytes, planned, read, tensors, write
from workbench.checkpoint.coding import Uniform
from workbench.checkpoint.coding.uniform_grid import grid
from workbench.errors import WorkbenchError
from workbench.graph.program import from_text, to_text
from workbench.measure import measure_size
from workbench.model.subject import Subject
from workbench.steps import EntropyCode, Prune, PruneChannels, Quantize, ShareWeights
from workbench.steps.recipe import Recipe, run
from workbench.task.task import Task

RECIPES = {
    "float": (),
    "pruned half": (Prune(amount=0.5),),
    "pruned 95 %": (Prune(amount=0.95, ranking="global"),),
    **{f"{bits} bits": (Quantize(bits=bits, symmetric=False),) for bits in range(2, 9)},
    "one scale": (Quantize(bits=3, granularity="tensor"),),
    "pruned, quantized": (Prune(amount=0.7), Quantize(bits=5, symmetric=False)),
    "quantized, pruned": (Quantize(bits=8), Prune(amount=0.97)),
    "cut": (PruneChannels(amount=0.3),),
    "quantized, cut": (Quantize(bits=4, symmetric=False), PruneChannels(amount=0.4)),
    "coded": (Prune(amount=0.7), ShareWeights(bits=3), EntropyCode()),
}
NETS = ("plain", "mlp", "tied", "text", "mobile")


def subject_of(name: str) -> Subject:
    """Return a tiny net as a subject; what its labels are does not matter for bytes."""
    model, example = nets.build(name)
    with torch.no_grad():
        out = model(*example)
    labels = torch.zeros(len(out), *out.shape[1:-1], dtype=torch.long)
    return Subject(name, model, Task(validation=(example, labels)))


def states():
    return [
        pytest.param(net, steps, id=f"{net}, {title}")
        for net in NETS
        for title, steps in RECIPES.items()
        # In these two no channel is free to go.
        if not (net in ("tied", "text") and any(isinstance(step, PruneChannels) for step in steps))
    ]


@pytest.mark.parametrize(("net", "steps"), states())
def test_the_file_has_the_announced_bytes_and_comes_back(net, steps, tmp_path):
    subject = subject_of(net)
    state = run(subject, Recipe(steps))
    path = tmp_path / "model.safetensors"
    write(path, state.model, state.codings)
    size, plans = measure_size(state.model, state.codings, subject), planned(state.model, state.codings)
    assert path.stat().st_size == size.total
    assert size.total == header_bytes(plans) + sum(plan.bytes for plan in plans.values())
    assert sum(count for _, count in size.ledger) == size.total
    assert sum(size.layers.values()) + header_bytes(plans) == size.total
    values, codings = read(path)
    wanted = tensors(state.model)
    assert values.keys() == wanted.keys()
    assert all(torch.equal(values[name], wanted[name]) for name in wanted)
    assert codings.keys() == {name for name in state.codings if name in wanted}


def test_the_file_is_to_the_byte_what_safetensors_writes(tmp_path):
    model = nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7), nn.Linear(7, 3).to(torch.bfloat16))
    model.register_buffer("nothing", torch.zeros(0, dtype=torch.int64))
    codings = {"0.weight": grid(model[0].weight.detach(), 4, 0, symmetric=False)}
    with torch.no_grad():
        model[0].weight.copy_(codings["0.weight"].round(model[0].weight))
    write(tmp_path / "file", model, codings)
    with safe_open(tmp_path / "file", framework="pt") as opened:
        parts = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118  # no mapping
        assert save(parts, opened.metadata()) == (tmp_path / "file").read_bytes()


def test_what_was_read_is_written_again_to_the_same_bytes(tmp_path):
    subject = subject_of("plain")
    state = run(subject, Recipe(RECIPES["pruned, quantized"]))
    write(tmp_path / "one", state.model, state.codings)
    values, codings = read(tmp_path / "one")
    model, _ = nets.build("plain", seed=1)
    model.load_state_dict(values)
    write(tmp_path / "two", model, codings)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_file_of_entropy_codes_has_one_short_header(tmp_path):
    state = run(subject_of("plain"), Recipe(RECIPES["coded"]))
    path = tmp_path / "model.safetensors"
    write(path, state.model, state.codings)
    with safe_open(path, "pt") as file:
        assert list(file.keys()) == ["packed"]
        values = file.get_tensor("packed").numel()
    plans = planned(state.model, state.codings)
    assert path.stat().st_size - values < 200 < header_bytes(plans)
    plain = planned(state.model, {name: replace(coding, entropy=False) for name, coding in state.codings.items()})
    assert header_bytes(plans) < 0.5 * header_bytes(plain)


def repacked(path, change):
    """Write the packed file again, its description changed: a damage that no checksum sees."""
    whole = path.read_bytes()
    (length,) = struct.unpack("<Q", whole[:8])
    data = whole[8 + length :]
    size = int.from_bytes(data[:4], "little")
    facts = json.loads(zlib.decompress(data[4 : 4 + size], -15))
    facts, behind = change(facts, data[4 + size :])
    text = zlib.compress(json.dumps(facts).encode(), 9, -15)
    described = len(text).to_bytes(4, "little") + text + behind
    version = {"workbench": json.dumps({"version": 2})}
    save_file({"packed": torch.frombuffer(bytearray(described), dtype=torch.uint8)}, path, version)


def changed(place, value):
    def change(facts, data):
        facts["parts"][0][place] = value
        return facts, data

    return change


DAMAGES = {
    "nothing": None,
    "no parts": lambda facts, data: ({"facts": facts["facts"]}, data),
    "a list": lambda facts, data: ([facts], data),
    "half of the bytes": lambda facts, data: (facts, data[: len(data) // 2]),
    "more bytes": lambda facts, data: (facts, data + b"12"),
    "a type": changed(1, "F8"),
    "a size below zero": changed(2, [-1]),
    "a size of a file": changed(2, [1 << 60]),
    "sizes whose product is large": changed(2, [1 << 12] * 5),
    "a size that is none": changed(2, ["1"]),
    "many dimensions": changed(2, [1] * 99),
    "no name": changed(0, None),
    "one name twice": lambda facts, data: ({**facts, "parts": [facts["parts"][0]] + facts["parts"]}, data),
    "nothing of a large shape": lambda facts, data: (
        {**facts, "parts": [["x", "U8", [len(data)]], ["y", "F32", [0] + [len(data)] * 24]]},
        data,
    ),
    "a truth of another value": lambda facts, data: (
        {**facts, "parts": [["x", "BOOL", [len(data)]]]},
        b"\2" * len(data),
    ),
    "facts that are none": lambda facts, data: ({**facts, "facts": 3}, data),
    "a bomb": lambda facts, data: ({**facts, "parts": facts["parts"], "x": "0" * (17 << 20)}, data),
    "other facts": lambda facts, data: ({**facts, "facts": "[]"}, data),
    "deep facts": lambda facts, data: ({**facts, "facts": "[" * 9999}, data),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_packed_file_whose_description_is_damaged_is_refused(damage, tmp_path):
    state = run(subject_of("mlp"), Recipe(RECIPES["coded"]))
    path = tmp_path / "model.safetensors"
    write(path, state.model, state.codings)
    before, codings = read(path)
    if DAMAGES[damage] is None:
        repacked(path, lambda *whole: whole)
        after, same = read(path)
        assert all(torch.equal(before[name], after[name]) for name in before)
        assert codings.keys() == same.keys()
        return
    repacked(path, DAMAGES[damage])
    with pytest.raises(WorkbenchError, match=r"model\.safetensors") as error:
        read(path)
    assert len(str(error.value)) < 400
    assert "\n" not in str(error.value)


def test_a_packed_file_of_many_layers_is_read(tmp_path):
    model = nn.Sequential(*(nn.Linear(4, 4) for _ in range(1500)))
    coding = Uniform(4, torch.ones(()), torch.zeros((), dtype=torch.int64), -8, 7, entropy=True)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.round_()
    write(tmp_path / "m", model, {f"{number}.weight": coding for number in range(1500)})
    values, codings = read(tmp_path / "m")
    assert len(codings) == 1500
    assert all(torch.equal(values[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize("net", NETS)
def test_equal_models_give_equal_files(net, tmp_path):
    for name in ("one", "two"):
        state = run(subject_of(net), Recipe(RECIPES["pruned, quantized"]))
        write(tmp_path / name, state.model, state.codings)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_preview_announces_the_bytes_of_what_it_stands_for(images):
    state = run(images, Recipe((Prune(amount=0.8),)))
    overlay = {name: value.detach() for name, value in state.model.named_parameters()}
    assert measure_size(images.model, {}, images, overlay) == measure_size(state.model, {}, images)


def test_a_tied_weight_is_stored_once(tmp_path):
    subject = subject_of("tied")
    assert "decoder.weight" not in tensors(subject.model)
    state = run(subject, Recipe((Quantize(),)))
    write(tmp_path / "m", state.model, state.codings)
    assert "decoder.weight" not in read(tmp_path / "m")[0]
    assert torch.equal(state.model.decoder.weight, state.model.embed.weight)


def test_files_of_others_are_read_plainly(tmp_path):
    save_file({"a": torch.arange(3.0)}, tmp_path / "other.safetensors", {"format": "pt"})
    values, codings = read(tmp_path / "other.safetensors")
    assert values["a"].tolist() == [0, 1, 2]
    assert codings == {}


@pytest.fixture
def written(tmp_path):
    state = run(subject_of("plain"), Recipe((Prune(amount=0.7), Quantize(bits=5))))
    path = tmp_path / "model.safetensors"
    write(path, state.model, state.codings)
    return path


@pytest.mark.parametrize("part", [0.0, 0.002, 0.2, 0.7, 0.999])
def test_a_truncated_file_is_refused(written, part):
    whole = written.read_bytes()
    written.write_bytes(whole[: int(len(whole) * part)])
    with pytest.raises(WorkbenchError, match=r"model\.safetensors"):
        read(written)


def test_a_bit_turned_in_the_header_is_refused_or_told_by_what_is_read(written):
    whole = written.read_bytes()
    (length,) = struct.unpack("<Q", whole[:8])
    before, _ = read(written)
    for place in range(0, 8 + length, 7):
        damaged = bytearray(whole)
        damaged[place] ^= 4
        written.write_bytes(bytes(damaged))
        try:
            after, _ = read(written)
        except WorkbenchError:
            continue
        # What is left are other names, numbers of bits or shapes that the bytes happen to fit.
        assert isinstance(after, dict)
    written.write_bytes(whole)
    assert read(written)[0].keys() == before.keys()


def header(path, change):
    """Rewrite the workbench's entry of a file's header."""
    whole = path.read_bytes()
    (length,) = struct.unpack("<Q", whole[:8])
    facts = json.loads(whole[8 : 8 + length])
    own = json.loads(facts["__metadata__"]["workbench"])
    facts["__metadata__"]["workbench"] = change(own)
    text = json.dumps(facts).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + whole[8 + length :])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda own: json.dumps({**own, "version": 2}), "format version 2"),
        (lambda own: "not json", "damaged header"),
        (lambda own: "[]", "damaged header"),
        (lambda own: json.dumps({"version": 1}), "damaged header"),
        (lambda own: json.dumps({"version": 1, "packed": 5}), "damaged header"),
        (lambda own: json.dumps({**own, "packed": {}}), "conv1.weight"),
        (lambda own: json.dumps({**own, "packed": {**own["packed"], "conv1.weight": 3}}), "conv1.weight"),
        (
            lambda own: json.dumps(
                {**own, "packed": {**own["packed"], "conv1.weight": {**own["packed"]["conv1.weight"], "shape": [7]}}}
            ),
            "conv1.weight",
        ),
    ],
)
def test_a_header_that_does_not_fit_is_refused(written, change, said):
    header(written, change)
    with pytest.raises(WorkbenchError, match=said):
        read(written)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(WorkbenchError, match="is missing"):
        read(tmp_path / "none.safetensors")


class Named(nn.Module):
    """Two layers under the names that are given."""

    def __init__(self, *names):
        super().__init__()
        self.layers = nn.ModuleDict({name: nn.Linear(12, 12) for name in names})

    def forward(self, x):
        for layer in self.layers.values():
            x = torch.relu(layer(x))
        return x


@pytest.mark.parametrize("name", ["a:b", "a:scale", "a:", ":", 'a"b', "a b", "größe", "lambda"])
def test_layers_of_any_name_are_packed_and_come_back(tmp_path, name):
    torch.manual_seed(0)
    model = Named(name, "z").eval()
    example = torch.randn(4, 12)
    state = run(Subject("named", model, Task(validation=(example, torch.zeros(4)))), Recipe((Quantize(bits=4),)))
    write(tmp_path / "m", state.model, state.codings)
    values, codings = read(tmp_path / "m")
    wanted = tensors(state.model)
    assert values.keys() == wanted.keys()
    assert all(torch.equal(values[key], wanted[key]) for key in wanted)
    assert codings.keys() == state.codings.keys()
    again = from_text(to_text(state.model, (example,)), values)
    with torch.no_grad():
        assert torch.equal(again(example), state.model(example))


def test_names_that_would_be_stored_as_one_are_refused(tmp_path):
    model = Named("a", "z")
    state = run(
        Subject("named", model, Task(validation=(torch.randn(4, 12), torch.zeros(4)))), Recipe((Quantize(bits=4),))
    )
    state.model.layers["a"].register_buffer("weight:scale", torch.ones(1))
    with pytest.raises(WorkbenchError, match=r"two tensors would be stored as 'layers\.a\.weight:scale'"):
        write(tmp_path / "m", state.model, state.codings)


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.complex64, torch.uint32])
def test_types_that_are_not_read_are_named(tmp_path, dtype):
    save_file({"odd": torch.zeros(2, dtype=dtype)}, tmp_path / "m")
    with pytest.raises(WorkbenchError, match=rf"odd as {dtype}"):
        read(tmp_path / "m")
