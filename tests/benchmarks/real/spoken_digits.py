"""Speech: which digit is said, by a depthwise separable net on a spectrogram.

The file is the free spoken digit dataset as .npz: `samples` int16 at 8 kHz end to end, `offsets`, `labels`, `takes`
(https://github.com/Jakobovski/free-spoken-digit-dataset, CC BY-SA 4.0). Takes 0 to 4 of each digit and speaker test, as
their publisher has it; 5 to 9 validate.

Zhang et al.: "Hello Edge: Keyword Spotting on Microcontrollers", 2017.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import workbench as wb
from tests.benchmarks.real.job import FLOAT, Job, Paths, seeded, trained
from workbench.task.batch import Tree

RATE, SECONDS = 8000, 1
WINDOW, HOP, FRAMES, BANDS = 256, 125, 64, 40
TESTED, VALIDATED = range(5), range(5, 10)


def _apart(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False), nn.BatchNorm2d(channels), nn.ReLU(),
        nn.Conv2d(channels, channels, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(),
    )  # fmt: skip


class SpeechNet(nn.Module):
    """Log-mel spectrograms (N, 1, 64, 40) to logits of digits (N, 10)."""

    def __init__(self, channels: int = 64) -> None:
        super().__init__()
        self.first = nn.Sequential(
            nn.Conv2d(1, channels, (10, 4), stride=2, padding=(4, 1), bias=False), nn.BatchNorm2d(channels), nn.ReLU()
        )
        self.body = nn.Sequential(*(_apart(channels) for _ in range(4)))
        self.fc = nn.Linear(channels, 10)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.body(self.first(x)).mean((2, 3)))
        return logits


def bands() -> Tensor:
    """Return triangular filters on the mel scale, [129 frequencies, 40]."""
    low, high = (2595 * np.log10(1 + hertz / 700) for hertz in (60.0, RATE / 2))
    edges = 700 * (10 ** (np.linspace(low, high, BANDS + 2) / 2595) - 1)
    hertz = np.linspace(0, RATE / 2, WINDOW // 2 + 1)[:, None]
    rising = (hertz - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - hertz) / (edges[2:] - edges[1:-1])
    return torch.from_numpy(np.minimum(rising, falling).clip(min=0)).float()


def spectrograms(waves: Tensor) -> Tensor:
    """Return log-mel spectrograms [n, 1, 64, 40] of waves [n, 8000], of mean 0 and deviation 1 each."""
    found = torch.stft(waves, WINDOW, HOP, window=torch.hann_window(WINDOW), return_complex=True).abs().square()
    mel = (found.transpose(1, 2)[:, :FRAMES] @ bands() + 1e-5).log()
    mean, spread = mel.mean((1, 2), keepdim=True), mel.std((1, 2), keepdim=True)
    return ((mel - mean) / spread)[:, None]


def recordings(path: str) -> tuple[list[Tensor], Tensor, Tensor]:
    """Return waves of -1 to 1, the digits that are said in them, and the numbers of their takes."""
    with np.load(path) as file:
        samples, offsets = torch.from_numpy(file["samples"].astype(np.float32) / 2**15), file["offsets"]
        labels, takes = torch.from_numpy(file["labels"]), torch.from_numpy(file["takes"])
    return [samples[start:end] for start, end in pairwise(offsets)], labels, takes


def part_of(takes: Tensor, numbers: range) -> Tensor:
    """Return which recordings are among these takes."""
    return torch.isin(takes, torch.tensor(list(numbers)))


def subject(paths: Paths, folder: Path) -> wb.Subject:
    """Return the trained net."""
    waves, labels, takes = recordings(paths["spoken-digits"])
    length = RATE * SECONDS
    whole = torch.stack([F.pad(wave[:length], (0, max(length - len(wave), 0))) for wave in waves])
    seen = spectrograms(whole)
    tested, validated = part_of(takes, TESTED), part_of(takes, VALIDATED)
    rest = ~(tested | validated)
    task = wb.Task(
        train=(seen[rest], labels[rest]), validation=(seen[validated], labels[validated]),
        test=(seen[tested], labels[tested]), classes=[str(digit) for digit in range(10)], name="spoken digits",
    )  # fmt: skip
    training = (wb.FineTune(epochs=8, learning_rate=0.005, schedule="one-cycle", augmentation="shift"),)
    return trained("spoken-digits", seeded(SpeechNet), task, training, folder)


def judge(outputs: Tree, targets: Tree) -> float:
    """Return the accuracy as torchmetrics has it."""
    from torchmetrics.classification import MulticlassAccuracy

    return float(MulticlassAccuracy(num_classes=10, average="micro")(outputs, targets))


JOB = Job(
    "spoken-digits",
    ("spoken-digits",),
    subject,
    {
        FLOAT: (),
        "int8": (wb.Quantize(activations=8),),
        "4 bits": (wb.Quantize(bits=4, rounding="second-order"),),
        "half of the channels": (
            wb.PruneChannels(amount=0.5, importance="taylor"),
            wb.Distill(epochs=4, learning_rate=0.005),
        ),
    },
    judge,
)
