"""Quantization: the grid of each channel, and that ONNX Runtime computes what was simulated."""

import copy
import re
from itertools import product

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

from tests.checkpoint.test_checkpoint import subject_of
from tests.nets import build
from tests.sampling import sampled
from workbench.checkpoint.checkpoint import read, write
from workbench.errors import WorkbenchError
from workbench.graph import summed_inputs
from workbench.measure.runtimes import eager, onnx
from workbench.measure.runtimes.integers import signed_products_exact
from workbench.model.quantizer import INPUT, OUTPUT, ActivationQuantizer, quantizers
from workbench.model.subject import Subject
from workbench.steps import FineTune, Prune, Quantize
from workbench.steps.quantize.activation_grids import makers
from workbench.steps.recipe import Recipe, run
from workbench.task.task import Task


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_every_output_channel_has_its_own_scale(images, bits):
    state = run(images, Recipe((Quantize(bits=bits),)))
    for name, coding in state.codings.items():
        before = images.model.get_parameter(name).detach()
        peak = before.flatten(1).abs().amax(1)
        torch.testing.assert_close(coding.scale, peak / (2 ** (bits - 1) - 1))
        assert state.model.get_parameter(name).detach().flatten(1).unique(dim=1).shape[1] <= before[0].numel()
        levels = max(len(row.unique()) for row in state.model.get_parameter(name).detach().flatten(1))
        assert levels <= 2**bits - 1


def test_the_whole_tensor_may_share_a_scale(images):
    state = run(images, Recipe((Quantize(granularity="tensor", symmetric=False, bits=3),)))
    for name, coding in state.codings.items():
        assert coding.scale.shape == ()
        assert len(state.model.get_parameter(name).unique()) <= 8


def test_more_bits_are_never_less_exact(images):
    def error(bits):
        state = run(images, Recipe((Quantize(bits=bits),)))
        pairs = zip(state.model.parameters(), images.model.parameters(), strict=True)
        return sum(float((one - other).detach().square().sum()) for one, other in pairs)

    errors = [error(bits) for bits in range(2, 9)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] > 0


def test_zeros_of_pruning_stay_zeros(images):
    state = run(images, Recipe((Prune(amount=0.8), Quantize(bits=4, symmetric=False))))
    before = run(images, Recipe((Prune(amount=0.8),)))
    for name in state.pruned:
        assert bool((state.model.get_parameter(name) == 0)[before.model.get_parameter(name) == 0].all())


def test_pruning_keeps_the_grid(images):
    state = run(images, Recipe((Quantize(bits=4), Prune(amount=0.5))))
    assert state.codings.keys() == run(images, Recipe((Quantize(bits=4),))).codings.keys()
    assert all(coding.holds(state.model.get_parameter(name)) for name, coding in state.codings.items())


def test_a_transposed_convolution_has_its_scales_along_its_outputs():
    state = run(subject_of("unet"), Recipe((Quantize(layers="up2"),)))
    assert state.codings["up2.weight"].axis == 1
    assert len(state.codings["up2.weight"].scale) == 6


def agreement(subject, state):
    inputs, _ = subject.task.split("validation").batch(range(len(subject.task.split("validation"))))
    ours = eager.prepare(state, inputs)(inputs)
    theirs = onnx.prepare(state, subject.task.example(2))(inputs)
    return float((ours.argmax(1) == theirs.argmax(1)).double().mean()), theirs


STEPS = [
    Quantize(bits=8, activations=8),
    Quantize(bits=4, activations=8, granularity="tensor"),
    Quantize(bits=8, activations=4),
    Quantize(bits=6, activations=6, symmetric=False),
    Quantize(bits=4, symmetric=False),
    Quantize(bits=4, granularity="group", group=8, activations=8),
    Quantize(bits=4, ranges="mse", activations=8, activation_ranges="entropy"),
]


@pytest.mark.parametrize(("name", "step"), sampled(product(["images", "vectors"], STEPS), 8), ids=str)
def test_onnx_runtime_gives_the_simulated_classes(step, name, request):
    subject = request.getfixturevalue(name)
    state = run(subject, Recipe((step,)))
    same, outputs = agreement(subject, state)
    assert same >= 0.995
    assert len(outputs.unique(dim=0)) > len(outputs) // 10


def test_the_onnx_graph_holds_integers_where_the_state_does(images):
    state = run(images, Recipe((Quantize(bits=8, activations=8),)))
    graph = onnx.convert(state, images.task.example(2)).graph
    kinds = [node.op_type for node in graph.node]
    assert kinds.count("QuantizeLinear") >= 5
    stored = {value.name: value.data_type for value in graph.initializer}
    assert {stored[f"{name}.weight.integers"] for name in ("conv1", "conv2", "conv3", "hidden", "fc")} == {
        3 if signed_products_exact() else 2
    }  # int8 or uint8
    assert not any(name == "conv1.weight" for name in stored)


@pytest.mark.parametrize("net", sampled(["padded", "projected"], 1))
def test_sums_of_convolutions_are_sums_of_integers(net):
    model, example = build(net)
    drawn = torch.Generator().manual_seed(0)
    data = [(torch.randn(example[0].shape[1:], generator=drawn), number % 5) for number in range(200)]
    subject = Subject(net, model, Task(train=data, validation=data))
    recipe = Recipe((Quantize(activations=8),))
    for steps in (recipe, Recipe((Quantize(activations=6), *recipe.steps))):
        state = run(subject, steps)
        graph = onnx.convert(state, subject.task.example(2)).graph
        makers = {name: node.op_type for node in graph.node for name in node.output}
        sums = [node for node in graph.node if node.op_type == "Add"]
        assert len(sums) == 3
        assert {makers[name] for node in sums for name in node.input} == {"DequantizeLinear"}
        assert agreement(subject, state)[0] >= 0.97  # an untrained net, whose answers lie close together


def test_a_shared_value_is_rounded_by_the_module_that_makes_it():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1, self.conv2 = (nn.Conv2d(4, 4, 3, padding=1) for _ in range(2))
            self.relu = nn.ReLU(inplace=True)

        def forward(self, x):
            out = self.conv2(self.relu(self.conv1(x)))
            out += x
            return self.relu(out)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.act = nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(inplace=True)
            self.blocks = nn.Sequential(Block(), Block(), nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU()))

        def forward(self, x):
            return self.blocks(self.act(self.stem(x))).mean((2, 3))

    torch.manual_seed(0)
    model, example = Net().eval(), (torch.randn(2, 3, 6, 6),)
    names = ["stem", *(f"blocks.{block}.conv{number}" for block in (0, 1) for number in (1, 2)), "blocks.2.0"]
    assert summed_inputs(model, example) == {"blocks.0.conv1", "blocks.1.conv1"}
    # The ReLU within a block is called twice, and what the second convolution gave is changed in place.
    assert makers(model, names, example) == {"act": "blocks.0.conv1", "blocks.0": "blocks.1.conv1"}
    assert makers(model, ["stem"], example) == {}


def test_activations_sit_at_every_chosen_layer(images):
    state = run(images, Recipe((Quantize(activations=8, exclude="fc"),)))
    found = quantizers(state.model)
    assert {name for name in found if name.endswith(INPUT)} == {
        f"{name}.{INPUT}" for name in ("conv1", "conv2", "conv3", "hidden")
    }
    assert {name for name in found if name.endswith(OUTPUT)} == {
        f"{name}.{OUTPUT}" for name in ("conv1", "conv2", "conv3")
    }
    assert all(quantizer.bits == 8 for quantizer in found.values())
    assert quantizers(images.model) == {}


def test_quantizing_activations_again_replaces_the_grids(images):
    once = run(images, Recipe((Quantize(activations=8),)))
    twice = run(images, Recipe((Quantize(activations=8), Quantize(activations=4))))
    assert quantizers(twice.model).keys() == quantizers(once.model).keys()
    assert {quantizer.bits for quantizer in quantizers(twice.model).values()} == {4}


def test_an_activation_grid_holds_zero_and_its_range():
    quantizer = ActivationQuantizer(8, -1.0, 3.0).eval()
    x = torch.tensor([-5.0, -1.0, 0.0, 0.5, 3.0, 9.0])
    got = quantizer(x)
    assert got[2] == 0
    step = 4 / 255
    torch.testing.assert_close(got[[0, 1]], torch.tensor([-1.0, -1.0]), atol=step / 2 + 1e-6, rtol=0)
    torch.testing.assert_close(got[[4, 5]], torch.tensor([3.0, 3.0]), atol=step / 2 + 1e-6, rtol=0)
    assert abs(float(got[3]) - 0.5) <= step / 2
    torch.testing.assert_close(quantizer.train()(x), got)
    assert ActivationQuantizer(4, 0.0, 0.0).eval()(torch.zeros(3)).tolist() == [0, 0, 0]


def test_layers_whose_input_is_no_number_are_told():
    model_subject = subject_of("tied")
    (inputs,), labels = model_subject.task.split("validation").batch([0, 1])
    subject = Subject("tied", model_subject.model, Task(train=(inputs, labels), validation=(inputs, labels)))
    state = run(subject, Recipe((Quantize(activations=8, layers="*"),)))
    assert any(note.startswith("embed: its activations stay in floating point") for note in state.notes)


def test_activations_need_data_and_two_bits(images):
    with pytest.raises(WorkbenchError, match="activations must be 0 or 2 to 8 bits, not 1"):
        Quantize(activations=1)
    bare = Subject("bare", images.model, Task(validation=images.task.split("validation")))
    with pytest.raises(WorkbenchError, match="it needs train or calibration data"):
        run(bare, Recipe((Quantize(activations=8),)))


def test_training_on_is_refused_where_it_would_leave_the_grid(images):
    with pytest.raises(WorkbenchError, match=r"step 2 \(fine_tune\).*put fine_tune before quantize"):
        run(images, Recipe((Quantize(), FineTune())))


def of_type(subject, dtype):
    """Return the subject with weights and validation images of another floating type."""
    (inputs,), labels = subject.task.split("validation").batch(range(200))
    data = (inputs.to(dtype), labels)
    return Subject(f"{subject.name} {dtype}", copy.deepcopy(subject.model).to(dtype), Task(train=data, validation=data))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("symmetric", [True, False])
def test_weights_of_other_types_keep_their_type_and_are_packed(images, dtype, symmetric, tmp_path):
    subject = of_type(images, dtype)
    state = run(subject, Recipe((Quantize(symmetric=symmetric),)))
    assert len(state.codings) == 5
    write(tmp_path / "model", state.model, state.codings)
    values, codings = read(tmp_path / "model")
    assert codings.keys() == state.codings.keys()
    for name, value in state.model.state_dict().items():
        assert values[name].dtype == value.dtype
        assert torch.equal(values[name], value)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_integer_activations_need_a_float32_model(images, dtype):
    with pytest.raises(WorkbenchError, match=rf"conv1 is {dtype}; .*Use model.float\(\), or activations=0"):
        run(of_type(images, dtype), Recipe((Quantize(activations=8),)))


def test_onnx_runtime_runs_what_it_has_kernels_for_and_says_so_of_the_rest(images):
    half = of_type(images, torch.float16)
    same, _ = agreement(half, run(half, Recipe((Quantize(),))))
    assert same >= 0.995
    for dtype, said in ((torch.bfloat16, "has no bfloat16 kernels"), (torch.float64, "cannot run this model")):
        subject = of_type(images, dtype)
        with pytest.raises(WorkbenchError, match=said):
            onnx.prepare(run(subject, Recipe((Quantize(),))), subject.task.example(2))


class Upsampling(nn.Module):
    """A grouped transposed convolution, its norm, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.up = nn.ConvTranspose2d(8, 12, 2, stride=2, groups=4)
        self.norm = nn.BatchNorm2d(12)
        self.fc = nn.Linear(12, 4)

    def forward(self, x):
        return self.fc(self.norm(self.up(self.conv(x).relu())).relu().mean((2, 3)))


@pytest.mark.parametrize("granularity", ["channel", "tensor"])
def test_a_grouped_transposed_convolution_takes_integers(granularity):
    torch.manual_seed(0)
    model, inputs = Upsampling().eval(), torch.randn(64, 3, 8, 8)
    with torch.no_grad():
        labels = model(inputs).argmax(1)
    subject = Subject("up", model, Task(train=(inputs, labels), validation=(inputs, labels)))
    state = run(subject, Recipe((Quantize(activations=8, granularity=granularity),)))
    same, outputs = agreement(subject, state)
    assert same == 1
    with torch.no_grad():
        torch.testing.assert_close(outputs, state.model(inputs), rtol=0, atol=1e-5)
    coding, entry = state.codings["up.weight"], quantizers(state.model)[f"up.{INPUT}"]
    steps = state.model.up.bias.double().view(4, 3) / (coding.scale.double() * entry.scale)
    torch.testing.assert_close(steps, steps.round(), rtol=0, atol=1e-3)


def test_norms_are_folded_only_into_the_layers_that_were_chosen(images):
    first = Quantize(bits=4, layers="conv*")
    state = run(images, Recipe((first, Quantize(layers="conv1", activations=8))))
    kinds = {name: type(module) for name, module in state.model.named_modules()}
    assert (kinds["bn1"], kinds["bn2"], kinds["bn3"]) == (nn.Identity, nn.BatchNorm2d, nn.BatchNorm2d)
    assert {name: coding.bits for name, coding in state.codings.items()} == {
        "conv1.weight": 8, "conv2.weight": 4, "conv3.weight": 4,
    }  # fmt: skip
    before = run(images, Recipe((first,)))
    assert torch.equal(state.model.conv2.weight, before.model.conv2.weight)
    assert state.notes == ()


def test_a_model_that_is_one_layer_takes_integers():
    inputs = torch.randn(64, 6, generator=torch.Generator().manual_seed(0))
    model = nn.Linear(6, 3)
    with torch.no_grad():
        labels = model(inputs).argmax(1)
    subject = Subject("one", model, Task(train=(inputs, labels), validation=(inputs, labels)))
    state = run(subject, Recipe((Quantize(activations=8),)))
    assert list(state.codings) == ["weight"]
    assert agreement(subject, state)[0] == 1


@pytest.mark.parametrize(
    "make",
    [
        parametrizations.weight_norm,
        parametrizations.spectral_norm,
        lambda layer: prune.l1_unstructured(layer, "weight", 0.3),
    ],
)
def test_a_weight_that_is_computed_is_refused_with_the_way_out(images, make):
    model = copy.deepcopy(images.model)
    make(model.conv2)
    with pytest.raises(WorkbenchError, match=re.escape("conv2.weight. Weights must be plain parameters; make them so")):
        Subject("computed", model, images.task)


def test_a_recurrent_net_of_which_only_the_last_state_is_read_converts():
    class LastState(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.lstm, self.head = nn.Embedding(20, 6), nn.LSTM(6, 8, 2, batch_first=True), nn.Linear(8, 4)

        def forward(self, x):
            return self.head(self.lstm(self.embed(x))[1][0][-1])

    drawn = torch.Generator().manual_seed(0)
    tokens, labels = torch.randint(0, 20, (12, 5), generator=drawn), torch.randint(0, 4, (12,), generator=drawn)
    subject = Subject("last-state", LastState().eval(), Task(train=(tokens, labels), validation=(tokens, labels)))
    state = run(subject, Recipe((Quantize(bits=8),)))
    found = onnx.prepare(state, subject.task.example(2))((tokens[:4],))
    with torch.no_grad():
        torch.testing.assert_close(found, state.model(tokens[:4]), rtol=1e-4, atol=1e-5)
