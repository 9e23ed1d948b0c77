"""Text: which of eight topics a news item is about (Reuters-21578, R8), by a convolutional net of 562,000 parameters.

Files are lines of label, tab, text, gzipped: http://disi.unitn.it/moschitti/corpora.htm (Reuters-21578, ModApté split,
eight classes), as in many packages for text classification. A tenth of the training items validates.

Kim: "Convolutional Neural Networks for Sentence Classification", 2014.
"""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import workbench as wb
from tests.benchmarks.real.job import FLOAT, Job, Paths, dealt, seeded, trained
from workbench.task.batch import Tree

WORDS, LENGTH, WIDTH = 4000, 160, 128
PAD, UNKNOWN, FIRST = 0, 1, 2


class TextNet(nn.Module):
    """Words (N, 160) to logits of topics (N, 8)."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(WORDS, WIDTH)
        nn.init.normal_(
            self.embed.weight, std=0.1
        )  # of the size that later weights have, or they learn much too slowly
        self.conv = nn.Conv1d(WIDTH, WIDTH, 3, padding=1)
        self.drop = nn.Dropout(0.5)
        self.fc = nn.Linear(WIDTH, classes)

    def forward(self, words: Tensor) -> Tensor:
        x = F.relu(self.conv(self.embed(words).transpose(1, 2)))
        logits: Tensor = self.fc(self.drop(x.amax(2)))
        return logits


def lines(path: str) -> list[tuple[str, list[str]]]:
    """Return labels and words of each item."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [line.rstrip("\n").split("\t") for line in file]
    return [(label, text.split()) for label, text in rows]


def encoded(items: Iterable[list[str]], numbers: Mapping[str, int]) -> Tensor:
    """Return the numbers of words, [n, 160]."""
    rows = [[numbers.get(word, UNKNOWN) for word in words[:LENGTH]] for words in items]
    return torch.tensor([row + [PAD] * (LENGTH - len(row)) for row in rows])


def subject(paths: Paths, folder: Path) -> wb.Subject:
    """Return the trained net."""
    items, test = lines(paths["r8-train"]), lines(paths["r8-test"])
    names = sorted({label for label, _ in items})
    apart, rest = ([items[number] for number in part] for part in dealt(len(items), 0, len(items) // 10))
    often = Counter(word for _, words in rest for word in words).most_common(WORDS - FIRST)
    numbers = {word: place for place, (word, _) in enumerate(often, FIRST)}

    def split(chosen: list[tuple[str, list[str]]]) -> tuple[Tensor, Tensor]:
        labels = torch.tensor([names.index(label) for label, _ in chosen])
        return encoded((words for _, words in chosen), numbers), labels

    task = wb.Task(train=split(rest), validation=split(apart), test=split(test), classes=names, name="topics of news")
    training = (wb.FineTune(epochs=4, learning_rate=0.004, schedule="one-cycle"),)
    return trained("r8", seeded(lambda: TextNet(len(names))), task, training, folder)


def judge(outputs: Tree, targets: Tree) -> float:
    """Return the accuracy as scikit-learn has it."""
    from sklearn.metrics import accuracy_score

    return float(accuracy_score(targets.numpy(), outputs.argmax(1).numpy()))


def macro_f1(outputs: Tree, targets: Tree) -> float:
    """Return the mean over classes of F1: two of eight classes hold most of the items."""
    from sklearn.metrics import f1_score

    return float(f1_score(targets.numpy(), outputs.argmax(1).numpy(), average="macro"))


JOB = Job(
    "r8",
    ("r8-train", "r8-test"),
    subject,
    {
        FLOAT: (),
        "int8": (wb.Quantize(activations=8),),
        "4 bits": (wb.Quantize(bits=4, rounding="second-order"),),
        "half of the channels": (
            wb.PruneChannels(amount=0.5, importance="taylor"),
            wb.Distill(epochs=2, learning_rate=0.002),
        ),
        # Layer by layer: ranked together, the table's larger weights would outlive every one of the convolution.
        "half of the weights": (wb.Prune(amount=0.5), wb.Distill(epochs=2, learning_rate=0.002)),
    },
    judge,
    others={"macro F1": macro_f1},
)
