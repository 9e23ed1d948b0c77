"""Small nets for text: which language, which letter next, and the same name in other letters."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workbench.loading.embedded.names_data import CYRILLIC, FIRST, LANGUAGES, LATIN, LONGEST
from workbench.loading.embedded.transformer import Block


class NameClassifier(nn.Module):
    """Letters (N, 24) to logits of languages (N, 24 languages).

    Source: Kim, "Convolutional Neural Networks for Sentence Classification", 2014.
    """

    def __init__(self, width: int = 32, channels: int = 128) -> None:
        super().__init__()
        self.embed = nn.Embedding(FIRST + len(LATIN), width)
        self.conv1 = nn.Conv1d(width, channels, 3, padding=1)
        self.conv2 = nn.Conv1d(channels, channels, 3, padding=1)
        self.fc = nn.Linear(channels, len(LANGUAGES))

    def forward(self, letters: Tensor) -> Tensor:
        x = self.embed(letters).transpose(1, 2)
        x = F.relu(self.conv2(F.relu(self.conv1(x))))
        logits: Tensor = self.fc(x.amax(2))
        return logits


class CausalBlock(Block):
    """A transformer's block in which no token sees a later one."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__(width, heads, hidden)
        self.attention.causal = True


class LetterModel(nn.Module):
    """Letters (N, T) to logits of the letter after each (N, T, letters).

    Source: Radford et al., "Language Models are Unsupervised Multitask Learners", 2019, in small.
    """

    def __init__(self, width: int = 96, depth: int = 3, heads: int = 4, hidden: int = 320) -> None:
        super().__init__()
        letters = FIRST + len(LATIN) + len(LANGUAGES)
        self.embed = nn.Embedding(letters, width)
        self.positions = nn.Embedding(LONGEST + 1, width)
        self.blocks = nn.Sequential(*(CausalBlock(width, heads, hidden) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, letters)

    def forward(self, letters: Tensor) -> Tensor:
        x = self.embed(letters) + self.positions(torch.arange(letters.shape[1], device=letters.device))
        logits: Tensor = self.head(self.norm(self.blocks(x)))
        return logits


class Transliterator(nn.Module):
    """A name (N, 24) and what has been written of it so far (N, T) to logits of what follows (N, T, letters).

    Source: Luong, Pham, Manning, "Effective Approaches to Attention-based Neural Machine Translation", 2015.
    """

    def __init__(self, width: int = 48, hidden: int = 128) -> None:
        super().__init__()
        self.read = nn.Embedding(FIRST + len(LATIN), width)
        self.encoder = nn.GRU(width, hidden, batch_first=True)
        self.written = nn.Embedding(FIRST + len(CYRILLIC), width)
        self.decoder = nn.GRU(width, hidden, batch_first=True)
        self.attend = nn.Linear(hidden, hidden, bias=False)
        self.mix = nn.Linear(2 * hidden, hidden)
        self.head = nn.Linear(hidden, FIRST + len(CYRILLIC))

    def forward(self, source: Tensor, written: Tensor) -> Tensor:
        read, last = self.encoder(self.read(source))
        states, _ = self.decoder(self.written(written), last)
        weights = torch.softmax(states @ self.attend(read).transpose(1, 2), -1)
        logits: Tensor = self.head(torch.tanh(self.mix(torch.cat([states, weights @ read], -1))))
        return logits
