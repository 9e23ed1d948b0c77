"""What is simulated in integers is what the ONNX file does, for layers that stand in unusual places."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import workbench as wb
from tests.model.test_layers import subject_of
from tests.sampling import sampled
from workbench.measure.runtimes.onnx import convert, open_graph
from workbench.model.quantizer import quantizers
from workbench.model.subject import Subject
from workbench.steps.recipe import Recipe, run
from workbench.task.task import Task


def both(subject, step):
    """Return what a quantized net gives here and in ONNX Runtime, and what it gave before."""
    state = run(subject, Recipe((step,)))
    inputs = subject.task.example(16)
    with torch.no_grad():
        ours, before = state.model(*inputs), subject.model(*inputs)
    return ours, open_graph(convert(state, subject.task.example(2)).SerializeToString())(inputs), before


def far(one, other):
    return float((torch.as_tensor(one) - other).abs().max() / other.abs().max())


def subject(model, *inputs):
    with torch.no_grad():
        answers = model.eval()(*inputs)
    return Subject("net", model, Task(train=(inputs, answers), validation=(inputs, answers), metric="mse", loss="mse"))


@pytest.mark.parametrize(("name", "symmetric"), sampled([("experts", False), ("recurrent", True), ("gpt2", False)], 1))
def test_weights_alone_are_integers_and_nothing_else_is_rounded(name, symmetric):
    ours, theirs, _ = both(subject_of(name), wb.Quantize(bits=8, symmetric=symmetric))
    assert far(theirs, ours) < 1e-5


class Table(nn.Module):
    """Rows of one table that are looked up twice, and if wanted multiplied as the last layer too."""

    def __init__(self, tied=False):
        super().__init__()
        self.embed, self.fc = nn.Embedding(50, 12), nn.Linear(12, 50, bias=False)
        if tied:
            self.fc.weight = self.embed.weight

    def forward(self, words, others):
        return self.fc(self.embed(words).mean(1) - self.embed(others).amax(1))


@pytest.mark.parametrize(
    "settings", sampled([{}, {"symmetric": False}, {"granularity": "tensor", "bits": 4}, {"activations": 8}], 2)
)
def test_rows_of_a_table_become_values_after_they_are_looked_up(settings):
    words = [torch.randint(0, 50, (64, 7), generator=torch.Generator().manual_seed(seed)) for seed in (0, 1)]
    torch.manual_seed(0)
    made, step = subject(Table(), *words), wb.Quantize(**settings)
    ours, theirs, _ = both(made, step)
    assert far(theirs, ours) < 1e-5
    graph = convert(run(made, Recipe((step,))), made.task.example(2)).graph
    assert all("embed" not in node.input[0] for node in graph.node if node.op_type == "DequantizeLinear")
    # Fewer than eight bits are packed, and become values as the file is opened.
    packed = any(value.name == "embed.weight.codes" for value in graph.initializer)
    stored = any(tuple(value.dims) == (50, 12) and value.data_type == 3 for value in graph.initializer)
    assert (stored, packed) == ((False, True) if settings.get("bits") == 4 else (True, False))
    tied = subject(Table(tied=True), *words)
    ours, theirs, _ = both(tied, wb.Quantize(**{**settings, "activations": 0}))
    assert far(theirs, ours) < 1e-5


IMAGES = torch.randn(64, 3, 12, 12, generator=torch.Generator().manual_seed(0))
SEQUENCES = torch.randn(64, 2, 40, generator=torch.Generator().manual_seed(0))
OUTPUTS = {
    "last": (lambda: nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 3, 3, padding=1)), IMAGES),
    "only": (lambda: nn.Sequential(nn.Conv2d(3, 3, 3, padding=1)), IMAGES),
    "relu": (lambda: nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.ReLU()), IMAGES),
    "one dimension": (lambda: nn.Sequential(nn.Conv1d(2, 8, 3), nn.ReLU(), nn.Conv1d(8, 1, 3)), SEQUENCES),
    "resized": (lambda: nn.Sequential(nn.Conv2d(3, 3, 3), nn.Upsample(scale_factor=2)), IMAGES),
}


@pytest.mark.parametrize("name", sampled(OUTPUTS, 3))
def test_a_convolution_that_makes_the_output_rounds_it_in_both(name):
    factory, inputs = OUTPUTS[name]
    torch.manual_seed(0)
    ours, theirs, before = both(subject(factory(), inputs), wb.Quantize(bits=8, activations=8))
    assert far(theirs, ours) < 1e-5
    assert 1e-4 < far(ours, before) < 0.05


class Shared(nn.Module):
    """One convolution, and a norm of its own for each size of image."""

    def __init__(self):
        super().__init__()
        self.stem, self.conv = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 3, padding=1)
        self.norms = nn.ModuleList(nn.BatchNorm2d(8) for _ in range(2))
        self.fc = nn.Linear(8, 4)

    def forward(self, x):
        x, out = self.stem(x), 0
        for norm in self.norms:
            out = out + F.relu(norm(self.conv(x))).mean((2, 3))
            x = F.avg_pool2d(x, 2)
        return self.fc(out)


class Unfolded(nn.Module):
    """A norm without running statistics: that of the batch cannot be folded into anything."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.fc = (
            nn.Conv2d(3, 8, 3),
            nn.BatchNorm2d(8, track_running_stats=False),
            nn.Linear(8, 4),
        )

    def forward(self, x):
        return self.fc(F.relu(self.norm(self.conv(x))).mean((2, 3)))


class Functional(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 8, 3), nn.Linear(8, 4)
        self.register_buffer("centre", torch.randn(8) * 0.2)
        self.register_buffer("spread", torch.rand(8) + 0.5)

    def forward(self, x):
        return self.fc(F.relu(F.batch_norm(self.conv(x), self.centre, self.spread)).mean((2, 3)))


def test_a_mean_of_integers_that_lies_midway_goes_to_the_same_side_in_both(tmp_path):
    torch.manual_seed(5)
    net = Shared()
    net.stem.bias.data += 1.0  # the integer that stands for zero is not even
    here, step = subject(net, IMAGES), wb.Quantize(bits=8, activations=8)
    session = wb.Session(here, wb.Settings(seconds=0.01), threaded=False, autosave=None)
    session.apply(step)
    grids = quantizers(session.state.model)
    assert [name for name, quantizer in grids.items() if quantizer.halves] == ["conv.input_quantizer"]
    ours, theirs, _ = both(here, step)
    assert far(theirs, ours) < 1e-5
    session.export(tmp_path / "out")
    again = wb.load(str(tmp_path / "out"), task=here.task).model
    grids["conv.input_quantizer"].halves = False
    with torch.no_grad():
        assert far(again(IMAGES[:16]), ours) < 1e-5
        assert far(session.state.model(IMAGES[:16]), ours) > 1e-3


@pytest.mark.parametrize("factory", [Shared, Unfolded, Functional])
def test_a_norm_that_stays_reads_what_a_relu_would_cut_off(factory):
    torch.manual_seed(0)
    net = factory().train()
    with torch.no_grad():
        for _ in range(20):
            net(IMAGES)
    ours, theirs, before = both(subject(net, IMAGES), wb.Quantize(bits=8, activations=8))
    assert far(ours, before) < 0.1
    if factory is not Shared:
        assert far(theirs, ours) < 0.01
