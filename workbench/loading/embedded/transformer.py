"""A small vision transformer for grey images of 32 × 32 pixels.

Source: Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021: pre-norm blocks and learned positions,
with the mean of the tokens in the place of a class token.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Attention(nn.Module):
    """Multi-head self-attention over tokens (N, T, width); causal where none is to see a later one."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.causal = heads, False
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        # (N, T, 3 * width) to three of (N, heads, T, width of a head)
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        out: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return out


class Block(nn.Module):
    """Attention, then an MLP, each normalised before and added to what came in: (N, T, width) to the same."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class DigitsTransformer(nn.Module):
    """Images (N, 1, 32, 32), normalised, to logits (N, 10)."""

    def __init__(self, patch: int = 8, width: int = 64, depth: int = 3, heads: int = 4, hidden: int = 192) -> None:
        super().__init__()
        self.embed = nn.Conv2d(1, width, patch, stride=patch)
        self.positions = nn.Parameter(torch.zeros(1, (32 // patch) ** 2, width))
        self.blocks = nn.Sequential(*(Block(width, heads, hidden) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.fc = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.embed(x).flatten(2).transpose(1, 2) + self.positions
        logits: Tensor = self.fc(self.norm(self.blocks(tokens)).mean(1))
        return logits


def digits_transformer() -> nn.Module:
    """Return an untrained transformer in training mode; `torch.manual_seed` decides its weights."""
    model = DigitsTransformer()
    nn.init.trunc_normal_(model.positions, std=0.02)
    return model
