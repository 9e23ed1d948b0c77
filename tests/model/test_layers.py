"""Every weight of two or more dimensions is a layer: seen, counted, pruned, quantized and written to every file."""

import onnxruntime
import pytest
import torch
from torch import nn

import workbench as wb
from tests import nets
from tests.sampling import sampled
from workbench.checkpoint.checkpoint import read, write
from workbench.measure import measure_size
from workbench.measure.compute import count_macs
from workbench.model.layers import choose, layers, own_parameters
from workbench.model.subject import Subject
from workbench.report.sections.totals import bytes_went
from workbench.steps import Context
from workbench.steps.recipe import Recipe, run
from workbench.task.task import Task

each_net = pytest.mark.parametrize("name", ["recurrent", "gpt2", "experts"])

SETTINGS = wb.Settings(runtimes=("eager",), seconds=0.02)


def subject_of(name, count=40):
    model, (example,) = nets.build(name)
    generator = torch.Generator().manual_seed(1)
    if example.is_floating_point():
        inputs = torch.randn(count, *example.shape[1:], generator=generator)
    else:
        inputs = torch.randint(0, 20, (count, *example.shape[1:]), generator=generator)
    with torch.no_grad():
        answers = model(inputs)
        answers = answers + answers.std() * torch.randn(answers.shape, generator=generator)
    return Subject(name, model, Task(train=(inputs, answers), validation=(inputs, answers), metric="mse", loss="mse"))


@each_net
def test_all_weights_are_seen_and_a_name_says_one(name):
    model, example = nets.build(name)
    found = layers(model, example)
    wanted = {key for key, value in model.named_parameters(remove_duplicate=False) if value.dim() > 1}
    assert {layer.parameter for layer in found} == wanted
    assert len({layer.name for layer in found}) == len(found)
    assert all(choose(found, layer.name)[0].parameter == layer.parameter for layer in found if layer.is_whole)


@each_net
def test_the_layers_share_out_the_macs_of_the_model(name):
    model, example = nets.build(name)
    attention = 2 * 2 * 7 * 7 * 12 if name == "gpt2" else 0  # products of activations are no layer's
    assert sum(layer.macs for layer in layers(model, example)) == count_macs(model, example) - attention


def test_macs_of_recurrent_layers_are_those_counted_by_hand():
    model, example = nets.build("recurrent")
    found = {layer.name: layer.macs for layer in layers(model, example)}
    assert found["lstm.weight_ih_l0"] == 7 * 48 * 8
    assert found["lstm.weight_hh_l1_reverse"] == 7 * 48 * 12
    assert found["gru.weight_ih_l0"] == 7 * 30 * 24
    assert found["cell.weight_hh"] == 3 * 32 * 8
    assert found["embed"] == 0


def test_a_weight_that_is_multiplied_with_by_hand_counts():
    model, example = nets.build("experts")
    found = {layer.name: layer for layer in layers(model, example)}
    assert found["head"].macs == 7 * 4
    assert found["inner"].macs == 6 * 3 * 8 * 10
    assert found["both"].macs == 7 * 8 * 8
    assert (found["place"].macs, found["place"].kind, found["place"].outputs) == (0, "parameter", 1)


def test_the_weights_of_a_layer_go_by_its_name_and_by_their_own():
    model, example = nets.build("recurrent")
    found = layers(model, example)
    assert len(choose(found, "lstm")) == 8
    assert [layer.parameter for layer in choose(found, "*.weight_hh_l0, gate")] == [
        "lstm.weight_hh_l0", "gru.weight_hh_l0", "rnn.weight_hh_l0", "gate.weight_ih", "gate.weight_hh",
    ]  # fmt: skip
    assert not any(layer.module == "lstm" for layer in choose(found, "*", ("lstm",)))
    (one,) = choose(found, "gru.weight_ih_l0")
    assert own_parameters(model, one) == ["gru.weight_ih_l0", "gru.bias_ih_l0"]


def test_gpt2s_linear_layer_is_told_by_its_name_and_shapes():
    model, example = nets.build("gpt2")
    found = {layer.name: layer for layer in layers(model, example)}
    seen = sum(layer.params for layer in found.values() if not layer.ties)
    assert found["h.0.c_attn"].kind == "linear transposed"
    assert (found["h.0.c_attn"].outputs, found["h.0.c_attn"].macs) == (1, 7 * 12 * 36)
    assert seen > 0.8 * sum(value.numel() for value in model.parameters())


QUANTIZED = (
    wb.Quantize(bits=8),
    wb.Quantize(bits=4, granularity="group", group=4),
    wb.Quantize(bits=8, symmetric=False, granularity="tensor"),
    wb.QuantizeLogarithmic(),
    wb.ShareWeights(bits=3),
    wb.KeepSigns(),
    wb.ShortenFloats(),
)


@each_net
@pytest.mark.parametrize("step", QUANTIZED, ids=lambda step: f"{step.kind}-{getattr(step, 'granularity', '')}")
def test_every_coding_codes_them_and_the_file_gives_them_back(name, step, tmp_path):
    subject = subject_of(name)
    state = run(subject, Recipe((step,)))
    assert set(state.codings) == {layer.parameter for layer in Context(subject).layers(subject.model)}
    write(tmp_path / "model.safetensors", state.model, state.codings)
    stored, codings = read(tmp_path / "model.safetensors")
    assert all(torch.equal(state.model.state_dict()[key], value) for key, value in stored.items())
    assert set(codings) == set(state.codings) & set(stored)
    size = measure_size(state.model, state.codings, subject)
    assert size.total == (tmp_path / "model.safetensors").stat().st_size
    assert size.total < 0.8 * size.ledger[0][1]


def test_a_recurrent_net_in_eight_bits_is_a_quarter_of_the_size():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.inner, self.fc = nn.Embedding(32, 128), nn.LSTM(128, 256), nn.Linear(256, 4)

        def forward(self, x):
            return self.fc(self.inner(self.embed(x))[0][:, -1])

    data = torch.randint(0, 32, (8, 6)), torch.randint(0, 4, (8,))
    subject = Subject("net", Net().eval(), Task(train=data, validation=data))
    state = run(subject, Recipe((wb.Quantize(bits=8),)))
    assert state.notes == ()
    size = measure_size(state.model, state.codings, subject)
    assert size.ledger[0][1] / size.total > 3.8


@each_net
def test_pruning_takes_the_same_part_of_each(name):
    subject = subject_of(name)
    state = run(subject, Recipe((wb.Prune(amount=0.5),)))
    for layer in Context(subject).layers(subject.model):
        weight = state.parameter(layer.parameter)
        assert int((weight == 0).sum()) == weight.numel() // 2
    for importance in ("random", "taylor", "fisher"):
        assert run(subject, Recipe((wb.Prune(importance=importance),))).pruned == state.pruned


@each_net
@pytest.mark.parametrize("rounding", ["second-order", "descent", "learned"])
def test_a_rounding_that_needs_layer_inputs_says_which_weights_it_rounds_otherwise(name, rounding):
    state = run(subject_of(name), Recipe((wb.Quantize(bits=4, rounding=rounding),)))
    (note,) = [note for note in state.notes if "rounded to the nearest value" in note]
    assert {"recurrent": "lstm.weight_ih_l0", "gpt2": "h.0.c_attn", "experts": "inner"}[name] in note
    assert "only linear layers and convolutions" in note


def test_a_preview_of_a_recurrent_weight_is_what_applying_it_gives():
    subject = subject_of("recurrent")
    session = wb.Session(subject, threaded=False, autosave=None, settings=SETTINGS)
    step = wb.Prune(layers="lstm*", amount=0.7)
    session.preview(step)
    staged = session.staged
    assert staged.error == ""
    assert session.apply(step).score.value == pytest.approx(staged.score.value)


@pytest.mark.parametrize(
    ("name", "program"),
    sampled([("experts", "onnx"), ("recurrent", "onnx"), ("gpt2", "pt2")], 1),
)
def test_the_exported_files_give_the_same_answers(name, program, tmp_path):
    subject = subject_of(name)
    session = wb.Session(subject, threaded=False, autosave=None, settings=SETTINGS)
    session.apply(wb.Quantize(bits=8))
    out = session.export(tmp_path / "out", formats=("safetensors", program))
    inputs = subject.task.example(4)
    with torch.no_grad():
        wanted = session.state.model(*inputs)
    if program == "pt2":
        got = torch.export.load(out / "model.pt2").module()(*inputs).detach()
    else:
        runner = onnxruntime.InferenceSession(out / "model.onnx", providers=["CPUExecutionProvider"])
        (got,) = map(torch.from_numpy, runner.run(None, {runner.get_inputs()[0].name: inputs[0].numpy()}))
    assert float((got - wanted).abs().max()) < 0.01 * float(wanted.abs().max())


def test_the_report_names_what_no_step_touched_with_its_share():
    session = wb.Session(subject_of("recurrent"), threaded=False, autosave=None, settings=SETTINGS)
    session.apply(wb.Quantize(bits=8, exclude="lstm"))
    said = repr(bytes_went(session.record()).blocks[-1])
    assert "No step touched" in said
    assert "lstm.weight_ih_l1" in said


def test_a_step_says_how_much_it_cannot_touch():
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    data = torch.randn(8, 4), torch.randint(0, 4, (8,))
    state = run(Subject("net", model.eval(), Task(train=data, validation=data)), Recipe((wb.Quantize(bits=8),)))
    (note,) = state.notes
    assert note.startswith("quantize: 58% of the model's bytes are in no layer's weight and stay as they are: 0.bias, ")
