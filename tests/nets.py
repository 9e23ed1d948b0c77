"""Tiny networks of every topology, with batch statistics that are not the trivial ones."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Example = tuple[Tensor, ...]


def image(size: int = 8, channels: int = 3) -> Example:
    return (torch.randn(2, channels, size, size, generator=torch.Generator().manual_seed(0)),)


def conv_bn(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


class PlainConv(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(8)
        self.conv2 = nn.Conv2d(8, 12, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(12)
        self.head = nn.Linear(12, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 2)
        x = F.relu(self.bn2(self.conv2(x)))
        return self.head(x.mean((2, 3)))


class PaddedBlock(nn.Module):
    """The CIFAR block whose shortcut has no parameters: it strides and pads the channels with zeros."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.pad = (outputs - inputs) // 2 if stride > 1 else 0

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.pad:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.pad, self.pad))
        return F.relu(out + x)


class PaddedResNet(nn.Module):
    """The CIFAR ResNet of He et al. 2015 (option A); `depth` blocks in each of three stages."""

    def __init__(self, width: int = 4, depth: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = self._stage(width, width, depth, 1)
        self.layer2 = self._stage(width, 2 * width, depth, 2)
        self.layer3 = self._stage(2 * width, 4 * width, depth, 2)
        self.linear = nn.Linear(4 * width, 10)

    @staticmethod
    def _stage(inputs: int, outputs: int, depth: int, stride: int) -> nn.Sequential:
        rest = [PaddedBlock(outputs, outputs, 1) for _ in range(depth - 1)]
        return nn.Sequential(PaddedBlock(inputs, outputs, stride), *rest)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer3(self.layer2(self.layer1(F.relu(self.bn1(self.conv1(x))))))
        x = F.avg_pool2d(x, int(x.shape[3]))
        return self.linear(x.view(x.size(0), -1))


class ProjectedBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(conv_bn(inputs, outputs, 3, stride), nn.ReLU(), conv_bn(outputs, outputs))
        straight = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if straight else conv_bn(inputs, outputs, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.shortcut(x))


class ProjectedResNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv_bn(3, 6), nn.ReLU(inplace=True))
        self.stages = nn.Sequential(ProjectedBlock(6, 6, 1), ProjectedBlock(6, 8, 2), ProjectedBlock(8, 8, 1))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(torch.flatten(self.pool(self.stages(self.stem(x))), 1))


class DenseNet(nn.Module):
    """Norm before convolution, and every layer reads the concatenation of all earlier ones."""

    def __init__(self, growth: int = 4) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1, bias=False)
        widths = [6 + growth * i for i in range(3)]
        self.norms = nn.ModuleList(nn.BatchNorm2d(w) for w in widths)
        self.convs = nn.ModuleList(nn.Conv2d(w, growth, 3, padding=1, bias=False) for w in widths)
        self.final = nn.BatchNorm2d(6 + 3 * growth)
        self.head = nn.Linear(6 + 3 * growth, 10)

    def forward(self, x: Tensor) -> Tensor:
        features = [self.stem(x)]
        for norm, conv in zip(self.norms, self.convs, strict=True):
            features.append(conv(F.relu(norm(torch.cat(features, 1)))))
        x = F.relu(self.final(torch.cat(features, 1)))
        return self.head(F.adaptive_avg_pool2d(x, 1).flatten(1))


class InvertedResidual(nn.Module):
    def __init__(self, inputs: int, outputs: int, expansion: int = 2) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.expand = conv_bn(inputs, hidden, 1)
        self.depthwise = conv_bn(hidden, hidden, 3, groups=hidden)
        self.project = conv_bn(hidden, outputs, 1)
        self.residual = inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        out = self.project(F.relu6(self.depthwise(F.hardswish(self.expand(x)))))
        return x + out if self.residual else out


class MobileNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = conv_bn(3, 8)
        self.multiplied = conv_bn(8, 16, 3, groups=8)
        self.blocks = nn.Sequential(InvertedResidual(16, 6), InvertedResidual(6, 6))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(6, 10))

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(F.relu6(self.multiplied(F.relu6(self.stem(x)))))
        return self.classifier(F.adaptive_avg_pool2d(x, (1, 1)).flatten(1))


class ConvNeXtBlock(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, 2 * width)
        self.project = nn.Linear(2 * width, width)
        self.scale = nn.Parameter(torch.linspace(0.5, 1.5, width))

    def forward(self, x: Tensor) -> Tensor:
        out = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        out = self.scale * self.project(F.gelu(self.expand(out)))
        return x + out.permute(0, 3, 1, 2)


class ConvNeXt(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 2, stride=2)
        self.blocks = nn.Sequential(ConvNeXtBlock(8), ConvNeXtBlock(8))
        self.norm = nn.LayerNorm(8)
        self.head = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.blocks(self.stem(x)).mean((-2, -1))))


class UNet(nn.Module):
    """One way up is interpolation, the other a transposed convolution; both meet a skip connection."""

    def __init__(self) -> None:
        super().__init__()
        self.down1, self.down2, self.bottom = conv_bn(3, 4), conv_bn(4, 6), conv_bn(6, 8)
        self.up2 = nn.ConvTranspose2d(8, 6, 2, stride=2)
        self.merge2 = conv_bn(12, 6)
        self.merge1 = conv_bn(10, 4)
        self.out = nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        one = F.relu(self.down1(x))
        two = F.relu(self.down2(F.max_pool2d(one, 2)))
        x = F.relu(self.bottom(F.avg_pool2d(two, 2)))
        x = F.relu(self.merge2(torch.cat([self.up2(x), two], 1)))
        x = F.interpolate(x, scale_factor=2.0, mode="nearest")
        return self.out(F.relu(self.merge1(torch.cat([x, one], 1))))


class GroupedConv(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1)
        self.grouped = conv_bn(8, 12, 3, groups=2)
        self.up = nn.ConvTranspose2d(12, 8, 2, stride=2, groups=2)
        self.head = nn.Conv2d(8, 5, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.relu(self.up(F.relu(self.grouped(F.relu(self.conv1(x))))))).mean((2, 3))


class GroupNormNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1)
        self.norm1 = nn.GroupNorm(2, 8)
        self.conv2 = nn.Conv2d(8, 6, 3, padding=1)
        self.norm2 = nn.InstanceNorm2d(6, affine=True)
        self.head = nn.Linear(6, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.silu(self.norm1(self.conv1(x)))
        return self.head(F.silu(self.norm2(self.conv2(x))).amax((2, 3)))


class SqueezeExcite(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = conv_bn(3, 8)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.squeeze = nn.Conv2d(8, 4, 1)
        self.excite = nn.Conv2d(4, 8, 1)
        self.head = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.body(x))
        gate = torch.sigmoid(self.excite(F.relu(self.squeeze(self.pool(x)))))
        return self.head((x * gate).mean((2, 3)))


class Flattened(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(conv_bn(3, 6, stride=2), nn.ReLU(), nn.MaxPool2d(2))
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(6 * 2 * 2, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Linear(12, 10)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


class EncoderBlock(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.fc1, self.fc2 = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def attend(self, x: Tensor) -> Tensor:
        B, N, C = x.shape
        q, k, v = self.qkv(x).reshape(B, N, 3, self.heads, C // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(B, N, C))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attend(self.norm1(x))
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x))))


class VisionTransformer(nn.Module):
    def __init__(self, width: int = 12) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 4, stride=4)
        self.token = nn.Parameter(torch.randn(1, 1, width) * 0.1)
        self.position = nn.Parameter(torch.randn(1, 5, width) * 0.1)
        self.blocks = nn.Sequential(EncoderBlock(width, 3), EncoderBlock(width, 3))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], dim=1) + self.position
        return self.head(self.norm(self.blocks(x))[:, 0])


class TextEncoder(nn.Module):
    """The attention of `torch.nn`, behind an embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, 8)
        self.encoder = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.encoder(self.embed(x))
        return self.head(self.attention(x, x, x, need_weights=False)[0].mean(1))


class SelfAttention(nn.Module):
    """Queries, keys and values by layers of their own, and the products written out, under a mask."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.dense, self.dropout = nn.Linear(width, width), nn.Dropout(0.1)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        B, N, C = x.shape
        q, k, v = (
            layer(x).view(B, N, self.heads, -1).permute(0, 2, 1, 3) for layer in (self.query, self.key, self.value)
        )
        scores = torch.matmul(q, k.transpose(-1, -2)) / (C // self.heads) ** 0.5
        weights = self.dropout(scores.masked_fill(~mask, -1e4).softmax(-1))
        return self.dense((weights @ v).permute(0, 2, 1, 3).contiguous().view(B, N, C))


class Bert(nn.Module):
    """Norms after the sums, one hidden width, and an attention that sees no padding."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.place = nn.Embedding(20, 12, padding_idx=0), nn.Embedding(7, 12)
        self.attention, self.norm1 = SelfAttention(12, 3), nn.LayerNorm(12)
        self.inner, self.outer, self.norm2 = nn.Linear(12, 16), nn.Linear(16, 12), nn.LayerNorm(12)
        self.head = nn.Linear(12, 4)

    def forward(self, x: Tensor) -> Tensor:
        mask = (x > 0)[:, None, None, :]
        x = self.embed(x) + self.place(torch.arange(x.shape[1]))
        x = self.norm1(x + self.attention(x, mask))
        x = self.norm2(x + self.outer(F.gelu(self.inner(x))))
        return self.head(x[:, 0])


class CrossAttention(nn.Module):
    """One input asks the other, which is of another width: packed weights are not possible."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Linear(6, 16)
        self.attention = nn.MultiheadAttention(8, 4, kdim=2, vdim=2, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        asked = b.view(b.shape[0], 2, 2)
        return self.head(self.attention(self.left(a).view(a.shape[0], 2, 8), asked, asked)[0].mean(1))


class WindowAttention(EncoderBlock):
    """Each head adds a bias of its own to the scores, read from a table by place."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__(width, heads)
        self.table = nn.Parameter(torch.randn(9, heads) * 0.1)
        self.register_buffer("index", torch.arange(25) % 9)

    def attend(self, x: Tensor) -> Tensor:
        B, N, C = x.shape
        q, k, v = self.qkv(x).reshape(B, N, 3, self.heads, C // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        bias = self.table[self.index].view(N, N, -1).permute(2, 0, 1)
        weights = (q @ k.transpose(-2, -1) + bias[None]).softmax(-1)
        return self.proj((weights @ v).transpose(1, 2).reshape(B, N, C))


class WindowTransformer(VisionTransformer):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Sequential(WindowAttention(12, 3))


class TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(6, 8), nn.Linear(4, 8)
        self.gate = nn.Linear(4, 8, bias=False)
        self.head = nn.Linear(16, 3)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        left, right = torch.tanh(self.left(a)), F.relu(self.right(b))
        return self.head(torch.cat([left * torch.sigmoid(self.gate(b)), right], dim=-1))


class TwoOutputs(nn.Module):
    """One of the heads hands out its hidden features, which therefore must stay."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = conv_bn(3, 8)
        self.feature = nn.Conv2d(8, 6, 3, padding=1)
        self.label = nn.Linear(6, 10)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        feature = self.feature(F.relu(self.trunk(x)))
        return self.label(feature.mean((2, 3))), feature


class TiedLinears(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(8, 8), nn.Linear(8, 8)
        self.last.weight = self.first.weight

    def forward(self, x):
        return self.last(torch.relu(self.first(x)))


class TiedWeights(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, 8)
        self.hidden = nn.Linear(8, 12)
        self.back = nn.Linear(12, 8)
        self.decoder = nn.Linear(8, 20, bias=False)
        self.decoder.weight = self.embed.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.back(F.gelu(self.hidden(self.embed(x)))))


class SharedModule(nn.Module):
    """One convolution and its norm are called three times; a chunk then swaps the halves."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.loop = nn.Conv2d(3, 8, 1), conv_bn(8, 8)
        self.split = nn.Conv2d(8, 12, 1)
        self.head = nn.Linear(12, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for _ in range(3):
            x = F.relu(self.loop(x))
        one, two = self.split(x).chunk(2, dim=1)
        return self.head(torch.cat([torch.sigmoid(two), one], dim=1).mean((2, 3)))


def mlp() -> nn.Module:
    return nn.Sequential(
        nn.Linear(10, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 12), nn.Tanh(), nn.Linear(12, 4)
    )


def vectors(*widths: int) -> Example:
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(3, width, generator=generator) for width in widths)


def tokens() -> Example:
    return (torch.randint(0, 20, (2, 7), generator=torch.Generator().manual_seed(0)),)


NETS: dict[str, tuple[Callable[[], nn.Module], Example]] = {
    "plain": (PlainConv, image()),
    "padded": (PaddedResNet, image()),
    "projected": (ProjectedResNet, image()),
    "dense": (DenseNet, image()),
    "mobile": (MobileNet, image()),
    "convnext": (ConvNeXt, image()),
    "unet": (UNet, image()),
    "grouped": (GroupedConv, image()),
    "groupnorm": (GroupNormNet, image()),
    "squeeze": (SqueezeExcite, image()),
    "flattened": (Flattened, image()),
    "vit": (VisionTransformer, image()),
    "text": (TextEncoder, tokens()),
    "bert": (Bert, tokens()),
    "cross": (CrossAttention, vectors(6, 4)),
    "window": (WindowTransformer, image()),
    "mlp": (mlp, vectors(10)),
    "two_inputs": (TwoInputs, vectors(6, 4)),
    "two_outputs": (TwoOutputs, image()),
    "tied": (TiedWeights, tokens()),
    "shared": (SharedModule, image()),
}


class Recurrent(nn.Module):
    """Every recurrent layer of torch, and cells that are called step by step."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, 8)
        self.lstm = nn.LSTM(8, 12, 2, batch_first=True, bidirectional=True)
        self.gru = nn.GRU(24, 10, batch_first=True)
        self.rnn = nn.RNN(10, 6, batch_first=True)
        self.cell, self.gate = nn.LSTMCell(6, 8), nn.GRUCell(8, 8)
        self.head = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.rnn(self.gru(self.lstm(self.embed(x))[0])[0])[0]
        inner, outer = x.new_zeros(x.shape[0], 8), x.new_zeros(x.shape[0], 8)
        cell = inner
        for step in range(3):
            inner, cell = self.cell(x[:, step], (inner, cell))
            outer = self.gate(inner, outer)
        return self.head(outer)


class Conv1D(nn.Module):
    """The linear layer of GPT-2, as its library writes it: the weight is [inputs, outputs]."""

    def __init__(self, nf: int, nx: int) -> None:
        super().__init__()
        self.nf, self.nx = nf, nx
        self.weight = nn.Parameter(torch.randn(nx, nf) * 0.2)
        self.bias = nn.Parameter(torch.randn(nf) * 0.1)

    def forward(self, x: Tensor) -> Tensor:
        shape = (*x.size()[:-1], self.nf)
        return torch.addmm(self.bias, x.view(-1, x.size(-1)), self.weight).view(shape)


class GPT2Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.width, self.size = width, width // heads
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.c_attn, self.c_proj = Conv1D(3 * width, width), Conv1D(width, width)
        self.c_fc, self.c_out = Conv1D(4 * width, width), Conv1D(width, 4 * width)

    def attend(self, x: Tensor) -> Tensor:
        q, k, v = self.c_attn(x).split(self.width, dim=2)
        shape = (*q.shape[:-1], -1, self.size)
        q, k, v = (part.view(shape).transpose(1, 2) for part in (q, k, v))
        out = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.c_proj(out.transpose(1, 2).reshape(*x.shape[:-1], -1).contiguous())

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attend(self.ln_1(x))
        return x + self.c_out(F.gelu(self.c_fc(self.ln_2(x)), approximate="tanh"))


class GPT2(nn.Module):
    def __init__(self, width: int = 12, heads: int = 3) -> None:
        super().__init__()
        self.wte, self.wpe = nn.Embedding(20, width), nn.Embedding(7, width)
        self.h = nn.ModuleList(GPT2Block(width, heads) for _ in range(2))
        self.ln_f, self.lm_head = nn.LayerNorm(width), nn.Linear(width, 20, bias=False)
        self.lm_head.weight = self.wte.weight

    def forward(self, x: Tensor) -> Tensor:
        x = self.wte(x) + self.wpe(torch.arange(x.shape[1]))
        for block in self.h:
            x = block(x)
        return self.lm_head(self.ln_f(x))


class Experts(nn.Module):
    """All experts in one tensor, a learnt table of places, a bilinear layer, and a layer that is never called."""

    def __init__(self) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.randn(1, 6, 8) * 0.3)
        self.gate = nn.Linear(8, 3)
        self.inner = nn.Parameter(torch.randn(3, 8, 10) * 0.3)
        self.outer = nn.Parameter(torch.randn(3, 10, 8) * 0.3)
        self.both = nn.Bilinear(8, 8, 7)
        self.head = nn.Linear(7, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = x.view(x.shape[0], 6, 8) + self.place
        hidden = F.gelu(torch.einsum("bnd,edh->bneh", x, self.inner))
        parts = torch.einsum("bneh,ehd->bned", hidden, self.outer)
        x = (parts * self.gate(x).softmax(-1)[..., None]).sum(2)
        return F.linear(self.both(x[:, 0], x.mean(1)), self.head.weight, self.head.bias)


class RMSNorm(nn.Module):
    """As it is written by hand in language models: in single precision, whatever comes in."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(0.5, 1.5, width))

    def forward(self, x: Tensor) -> Tensor:
        variance = x.pow(2).mean(-1, keepdim=True)
        return self.weight * (x * torch.rsqrt(variance + 1e-6)).type_as(x)


class Llama(nn.Module):
    """Keys and values of two heads for queries of four, a gated product, and norms by hand."""

    def __init__(self, width: int = 12, heads: int = 4, few: int = 2, size: int = 4) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, width)
        self.norm1, self.norm2 = RMSNorm(width), RMSNorm(width)
        self.query = nn.Linear(width, heads * size, bias=False)
        self.key, self.value = (nn.Linear(width, few * size, bias=False) for _ in range(2))
        self.out = nn.Linear(heads * size, width, bias=False)
        self.gate, self.up = (nn.Linear(width, 16, bias=False) for _ in range(2))
        self.down, self.head = nn.Linear(16, width, bias=False), nn.Linear(width, 4, bias=False)
        self.size, self.times = size, heads // few

    def attend(self, x: Tensor) -> Tensor:
        B, N, _ = x.shape
        q, k, v = (f(x).view(B, N, -1, self.size).swapaxes(1, 2) for f in (self.query, self.key, self.value))
        k, v = (
            y[:, :, None].expand(B, y.shape[1], self.times, N, self.size).reshape(B, -1, N, self.size) for y in (k, v)
        )
        return self.out(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(B, N, -1))

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        x = x + self.attend(self.norm1(x))
        y = self.norm2(x)
        x = x + self.down(F.silu(self.gate(y)) * self.up(y))
        return self.head(x.index_select(1, torch.tensor([2, 0]))[:, 0])


class Unrolled(nn.Module):
    """Sequence to sequence: the state of one recurrent layer is what the other begins with."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, 8)
        self.encoder, self.decoder = nn.LSTM(8, 12, batch_first=True), nn.LSTM(8, 12, batch_first=True)
        self.narrow = nn.RNN(12, 6, batch_first=True, nonlinearity="relu")
        self.head = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        _, state = self.encoder(x)
        x = self.narrow(F.normalize(self.decoder(x, state)[0], dim=-1))[0]
        return self.head(x)


# Nets most of whose weights are in something else than convolutions, linear layers, embeddings and attention.
UNUSUAL: dict[str, tuple[Callable[[], nn.Module], Example]] = {
    "recurrent": (Recurrent, tokens()),
    "gpt2": (GPT2, tokens()),
    "experts": (Experts, vectors(48)),
    "llama": (Llama, tokens()),
    "states": (Unrolled, tokens()),
}


def build(name: str, seed: int = 0) -> tuple[nn.Module, Example]:
    """Return the net of that name in eval mode and its example input, the same for the same seed."""
    factory, example = (NETS | UNUSUAL)[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = factory().eval()
        for module in model.modules():
            if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
                _randomise(module)
    return model, example


def _randomise(norm: nn.BatchNorm1d | nn.BatchNorm2d) -> None:
    """A fresh norm is nearly the identity, so a test on it would pass whatever is done to it."""
    with torch.no_grad():
        norm.weight.uniform_(0.5, 1.5)
        norm.bias.normal_(0.0, 0.3)
        if norm.running_mean is not None and norm.running_var is not None:
            norm.running_mean.normal_(0.0, 0.3)
            norm.running_var.uniform_(0.5, 2.0)
