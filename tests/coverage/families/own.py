"""Nets of our own: small ones of every topology, recurrent nets, nets for speech, a detector, attention by hand."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests import nets
from tests.coverage.net import Net, images, named, tokens, vectors
from workbench.loading import embedded


class Tagger(nn.Module):
    """A class for each token, by two GRUs that run both ways."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(60, 24)
        self.gru = nn.GRU(24, 32, 2, batch_first=True, bidirectional=True)
        self.norm, self.head = nn.LayerNorm(64), nn.Linear(64, 9)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.gru(self.embed(x))[0]))


class LastState(nn.Module):
    """A sentence to a class, by the last state of an LSTM."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(60, 24)
        self.lstm, self.head = nn.LSTM(24, 48, 2, batch_first=True), nn.Linear(48, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.lstm(self.embed(x))[1][0][-1])


class Cells(nn.Module):
    """A cell that is called step by step."""

    def __init__(self) -> None:
        super().__init__()
        self.enter, self.cell, self.head = nn.Linear(10, 24), nn.GRUCell(24, 40), nn.Linear(40, 6)

    def forward(self, x: Tensor) -> Tensor:
        state = x.new_zeros(x.shape[0], 40)
        for step in range(x.shape[1]):
            state = self.cell(torch.relu(self.enter(x[:, step])), state)
        return self.head(state)


class Translator(nn.Module):
    """Sequence to sequence, with attention of the decoder's states over the encoder's."""

    def __init__(self) -> None:
        super().__init__()
        self.source, self.target = nn.Embedding(60, 24), nn.Embedding(60, 24)
        self.encoder, self.decoder = nn.LSTM(24, 32, batch_first=True), nn.LSTM(24, 32, batch_first=True)
        self.ask, self.mix, self.head = nn.Linear(32, 32), nn.Linear(64, 40), nn.Linear(40, 30)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        seen, state = self.encoder(self.source(source))
        x, _ = self.decoder(self.target(target), state)
        weights = (self.ask(x) @ seen.transpose(1, 2)).softmax(-1)
        return self.head(torch.tanh(self.mix(torch.cat([x, weights @ seen], -1))))


class Reader(nn.Module):
    """Text in a picture: convolutions, columns as steps, an LSTM both ways."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(inplace=True), nn.MaxPool2d(2),
            nn.Conv2d(16, 24, 3, padding=1), nn.BatchNorm2d(24), nn.ReLU(inplace=True), nn.MaxPool2d((2, 1)),
        )  # fmt: skip
        self.lstm = nn.LSTM(24 * 4, 32, bidirectional=True, batch_first=True)
        self.head = nn.Linear(64, 11)

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x)
        return self.head(self.lstm(x.permute(0, 3, 1, 2).flatten(2))[0])


class Keywords(nn.Module):
    """DS-CNN for keywords: a convolution, then depthwise ones with pointwise ones after them."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            nn.Conv2d(1, width, (10, 4), 2, (5, 1), bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        ]
        for _ in range(4):
            layers += [
                nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
                nn.Conv2d(width, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            ]  # fmt: skip
        self.body, self.head = nn.Sequential(*layers), nn.Linear(width, 12)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.avg_pool2d(self.body(x), self.body(x).shape[2:]).flatten(1))


class Voice(nn.Module):
    """Whether somebody speaks, as Silero has it: a Fourier transform as a convolution, an encoder, an LSTM."""

    def __init__(self) -> None:
        super().__init__()
        self.transform = nn.Conv1d(1, 66, 64, 32, padding=32, bias=False)
        self.encoder = nn.Sequential(
            nn.Conv1d(33, 32, 3, padding=1), nn.ReLU(), nn.Conv1d(32, 24, 3, 2, padding=1), nn.ReLU(),
            nn.Conv1d(24, 32, 3, padding=1), nn.ReLU(),
        )  # fmt: skip
        self.lstm, self.head = nn.LSTM(32, 32, batch_first=True), nn.Conv1d(32, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        real, imaginary = self.transform(x).split(33, dim=1)
        x = self.encoder(torch.sqrt(real**2 + imaginary**2 + 1e-6))
        x, _ = self.lstm(x.transpose(1, 2))
        return torch.sigmoid(self.head(torch.relu(x.transpose(1, 2)))).mean(2)


class ConformerBlock(nn.Module):
    """Half a feed-forward part, attention, a gated depthwise convolution, and another half."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(5))
        self.first, self.last = (
            nn.Sequential(nn.Linear(width, 4 * width), nn.SiLU(), nn.Linear(4 * width, width)) for _ in range(2)
        )
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.enter, self.leave = nn.Conv1d(width, 2 * width, 1), nn.Conv1d(width, width, 1)
        self.depthwise, self.norm = nn.Conv1d(width, width, 7, padding=3, groups=width), nn.BatchNorm1d(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + 0.5 * self.first(self.norms[0](x))
        y = self.norms[1](x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        y = F.glu(self.enter(self.norms[2](x).transpose(1, 2)), dim=1)
        x = x + self.leave(F.silu(self.norm(self.depthwise(y)))).transpose(1, 2)
        return self.norms[4](x + 0.5 * self.last(self.norms[3](x)))


class Conformer(nn.Module):
    """Speech to tokens: two strided convolutions over a spectrogram, then blocks."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.sub = nn.Sequential(nn.Conv2d(1, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, 2, 1), nn.ReLU())
        self.enter = nn.Linear(8 * 5, width)
        self.blocks = nn.Sequential(*(ConformerBlock(width, 4) for _ in range(2)))
        self.head = nn.Linear(width, 20)

    def forward(self, x: Tensor) -> Tensor:
        x = self.sub(x)
        return self.head(self.blocks(self.enter(x.transpose(1, 2).flatten(2))))


class Temporal(nn.Module):
    """A causal convolutional net over time: dilated convolutions, whose padding is cropped, and residuals."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Conv1d(6, 24, 1)
        self.convs = nn.ModuleList(nn.Conv1d(24, 24, 3, padding=2 * 2**i, dilation=2**i) for i in range(3))
        self.outs = nn.ModuleList(nn.Conv1d(24, 24, 1) for _ in range(3))
        self.head = nn.Linear(24, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.enter(x)
        for conv, out in zip(self.convs, self.outs, strict=True):
            x = x + out(torch.relu(conv(x)[..., : x.shape[-1]]))
        return self.head(x[..., -1])


class Shared(nn.Module):
    """Multi-query attention: one head of keys and values for all queries, cut out of one layer by a width."""

    def __init__(self, width: int = 32, heads: int = 4) -> None:
        super().__init__()
        self.heads, self.size = heads, width // heads
        self.embed = nn.Embedding(60, width)
        self.norm1, self.norm2 = nets.RMSNorm(width), nets.RMSNorm(width)
        self.qkv, self.out = nn.Linear(width, width + 2 * self.size), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 2 * 48), nn.Linear(48, width)
        self.head = nn.Linear(width, 60)

    def attend(self, x: Tensor) -> Tensor:
        B, N, C = x.shape
        q, k, v = self.qkv(x).split([C, self.size, self.size], dim=-1)
        q = q.view(B, N, self.heads, self.size).transpose(1, 2)
        y = F.scaled_dot_product_attention(q, k[:, None], v[:, None], is_causal=True)
        return self.out(y.transpose(1, 2).reshape(B, N, C))

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        x = x + self.attend(self.norm1(x))
        gate, up = self.up(self.norm2(x)).chunk(2, dim=-1)
        return self.head(x + self.down(F.silu(gate) * up))


class Windows(nn.Module):
    """Attention inside of windows of a picture, by reshapes with widths written into them, and a table of places."""

    def __init__(self, width: int = 24, heads: int = 3) -> None:
        super().__init__()
        self.width, self.heads = width, heads
        self.stem, self.norm = nn.Conv2d(3, width, 4, 4), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.table = nn.Parameter(torch.randn(49, heads) * 0.1)
        self.register_buffer("index", torch.arange(256) % 49)
        self.mlp = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 48), nn.GELU(), nn.Linear(48, width))
        self.head = nn.Linear(width, 10)

    def attend(self, x: Tensor) -> Tensor:
        B, N, _ = x.shape
        qkv = self.qkv(x).reshape(B, N, 3, self.heads, self.width // self.heads).permute(2, 0, 3, 1, 4)
        bias = self.table[self.index].view(16, 16, -1).permute(2, 0, 1)
        weights = (qkv[0] @ qkv[1].transpose(-2, -1) + bias[None]).softmax(-1)
        return self.proj((weights @ qkv[2]).transpose(1, 2).reshape(B, N, self.width))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).permute(0, 2, 3, 1)
        B, H, W, _ = x.shape
        y = self.norm(x).view(B, H // 4, 4, W // 4, 4, self.width).permute(0, 1, 3, 2, 4, 5).reshape(-1, 16, self.width)
        y = self.attend(y).view(B, H // 4, W // 4, 4, 4, self.width).permute(0, 1, 3, 2, 4, 5)
        x = x + y.reshape(B, H, W, self.width)
        return self.head((x + self.mlp(x)).mean((1, 2)))


class Mixer(nn.Module):
    """Tokens are mixed by a layer over places, channels by one over channels."""

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 8, 8)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.places = nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 16))
        self.channels = nn.Sequential(nn.Linear(width, 64), nn.GELU(), nn.Linear(64, width))
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).flatten(2).mT
        x = x + self.places(self.norms[0](x).mT).mT
        return self.head((x + self.channels(self.norms[1](x))).mean(1))


class Points(nn.Module):
    """PointNet: the same layers for each point, the largest value of each feature, and a joined vector."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Sequential(nn.Conv1d(3, 24, 1), nn.BatchNorm1d(24), nn.ReLU(inplace=True))
        self.two = nn.Sequential(nn.Conv1d(24, 48, 1), nn.BatchNorm1d(48), nn.ReLU(inplace=True))
        self.mix, self.head = nn.Conv1d(72, 32, 1), nn.Conv1d(32, 6, 1)

    def forward(self, x: Tensor) -> Tensor:
        near = self.one(x)
        whole = self.two(near).max(2, keepdim=True)[0].repeat(1, 1, x.shape[2])
        return self.head(torch.relu(self.mix(torch.cat([near, whole], 1))))


class Autoencoder(nn.Module):
    """Down by convolutions, through a vector by a Flatten, and up again; activations are in place."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(1, 12, 3, 2, 1), nn.ReLU(inplace=True), nn.Conv2d(12, 16, 3, 2, 1))
        self.code = nn.Sequential(nn.Flatten(), nn.ReLU(inplace=True), nn.Linear(16 * 16, 24), nn.Linear(24, 16 * 16))
        self.up = nn.Sequential(
            nn.ConvTranspose2d(16, 12, 2, 2), nn.ReLU(inplace=True), nn.ConvTranspose2d(12, 1, 2, 2)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.up(self.code(self.down(x)).view(-1, 16, 4, 4))


def _own(name: str, heads: bool = False, residual: bool = True, classes: int | None = 1, key: str = "") -> Net:
    factory, example = (nets.NETS | nets.UNUSUAL)[key or name]
    values = example[0]

    def drawn(count: int) -> tuple[Tensor, ...]:
        if values.is_floating_point():
            return tuple(torch.randn(count, *value.shape[1:]) for value in example)
        return (torch.randint(1, 20, (count, *values.shape[1:])),)

    return Net(name, "own", factory, drawn, classes, heads, residual)


def scattered() -> nn.Module:
    """Return the detector that comes along."""
    return embedded.build("scattered-detector").model


OWN: tuple[Net, ...] = (
    _own("plain", residual=False),
    _own("padded"),
    _own("dense", residual=False),
    _own("unet", residual=False),
    _own("grouped", residual=False),
    _own("gpt2", heads=True, classes=-1),
    _own("llama", heads=True),
    _own("experts", residual=False),
    _own("recurrent", residual=False),
    _own("states", residual=False, classes=-1),
    Net("lstm-classifier", "recurrent", LastState, tokens(), residual=False),
    Net("gru-tagger", "recurrent", Tagger, tokens(), classes=-1, residual=False),
    Net("gru-cells", "recurrent", Cells, vectors(7, 10), residual=False),
    Net(
        "seq2seq-attention",
        "recurrent",
        Translator,
        named(source=tokens(10), target=tokens(7)),
        classes=-1,
        residual=False,
    ),
    Net("crnn", "recurrent", Reader, images(16, 1), classes=-1, residual=False),
    Net("ds-cnn", "speech", Keywords, lambda count: (torch.randn(count, 1, 49, 10),), residual=False),
    Net("vad", "speech", Voice, lambda count: (torch.randn(count, 1, 512),), classes=None, residual=False),
    Net("conformer", "speech", Conformer, lambda count: (torch.randn(count, 1, 32, 20),), classes=-1, heads=True),
    Net("tcn", "speech", Temporal, lambda count: (torch.randn(count, 6, 40),)),
    Net("multi-query", "own", Shared, tokens(), classes=-1, heads=True),
    Net("windows", "own", Windows, images(32), heads=True),
    Net("mixer", "own", Mixer, images(32)),
    Net("pointnet", "own", Points, lambda count: (torch.randn(count, 3, 40),), residual=False),
    Net("autoencoder", "own", Autoencoder, images(16, 1), classes=None, residual=False),
)
# Few enough for the tests of every day.
SMALL = ("gru-cells", "multi-query", "autoencoder")
