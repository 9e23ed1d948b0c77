"""A weight that is read several times: each call of a layer with a grid is rounded in the file as it is here."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import workbench as wb
from tests.sampling import sampled
from tests.steps.quantize.test_integer_graphs import far, subject
from workbench.measure.runtimes.onnx import convert, open_graph
from workbench.model.quantizer import quantizers, simulate
from workbench.steps.recipe import Recipe, run


class Siamese(nn.Module):
    """One encoder for two images."""

    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(8, 4)

    def encoded(self, x):
        return self.fc(F.relu(self.conv(x)).mean((2, 3)))

    def forward(self, one, other):
        return (self.encoded(one) - self.encoded(other)).abs().sum(1, keepdim=True)


class Autoencoder(nn.Module):
    """The decoder is the encoder's weight, turned, and no layer: nothing that enters it is rounded."""

    def __init__(self):
        super().__init__()
        self.encoder, self.bias = nn.Linear(48, 16), nn.Parameter(torch.zeros(48))

    def forward(self, x):
        return F.linear(F.relu(self.encoder(x)), self.encoder.weight.t(), self.bias)


class Tied(nn.Module):
    """The output layer's weight is the embedding's."""

    def __init__(self):
        super().__init__()
        self.embedding, self.hidden = nn.Embedding(50, 16), nn.Linear(16, 16)
        self.head = nn.Linear(16, 50, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, tokens):
        return self.head(F.relu(self.hidden(self.embedding(tokens))))


class Unrolled(nn.Module):
    """One cell for all steps of a sequence."""

    def __init__(self):
        super().__init__()
        self.inputs, self.state, self.head = nn.Linear(6, 16), nn.Linear(16, 16), nn.Linear(16, 1)

    def forward(self, x):
        state = torch.zeros(x.shape[0], 16)
        for step in range(x.shape[1]):
            state = torch.tanh(self.inputs(x[:, step]) + self.state(state))
        return self.head(state)


class TwoHeads(nn.Module):
    """Two layers share weight and bias, and read values on other grids."""

    def __init__(self):
        super().__init__()
        self.one, self.other = nn.Linear(8, 4), nn.Linear(8, 4)
        self.other.weight, self.other.bias = self.one.weight, self.one.bias

    def forward(self, x):
        return self.one(x) + self.other(3 * x.abs())


DRAWN = torch.Generator().manual_seed(0)
IMAGES = torch.randn(64, 3, 12, 12, generator=DRAWN)
NETS = {
    "siamese": (Siamese, (IMAGES, IMAGES.flip(0))),
    "autoencoder": (Autoencoder, (torch.randn(64, 48, generator=DRAWN),)),
    "tied": (Tied, (torch.randint(0, 50, (64, 6), generator=DRAWN),)),
    "unrolled": (Unrolled, (torch.randn(64, 5, 6, generator=DRAWN),)),
    "two heads": (TwoHeads, (torch.randn(64, 8, generator=DRAWN),)),
}


@pytest.mark.parametrize("name", sampled(NETS, 2))
def test_the_file_rounds_what_the_simulation_rounds(name):
    factory, inputs = NETS[name]
    torch.manual_seed(0)
    state = run(subject(factory(), *inputs), Recipe((wb.Quantize(bits=8, activations=8),)))
    graph = convert(state, tuple(value[:2] for value in inputs))
    theirs = open_graph(graph.SerializeToString())(inputs)
    assert quantizers(state.model)
    with torch.no_grad():
        ours = state.model(*inputs)
        simulate(state.model, on=False)
        unrounded = state.model(*inputs)
        simulate(state.model, on=True)
    assert far(theirs, ours) < 0.1 * far(unrounded, ours)
    assert not any(node.metadata_props for node in graph.graph.node)
    stored = {value.name for value in graph.graph.initializer}
    assert not stored.intersection(state.codings)
    once = {id(state.model.get_parameter(weight)) for weight in state.codings}
    assert sum(name.endswith(".weight.integers") for name in stored) == len(once)
