"""Speech: whether somebody speaks, every 32 ms, by the trained Silero VAD (16 kHz, 309,633 parameters).

The weights are those of https://github.com/snakers4/silero-vad (MIT) as .safetensors with the keys `stft_conv.weight`,
`conv1.weight` … `final_conv.bias`. The truth is made: recordings of `spoken_digits.py` are brought to 16 kHz and placed
at random into clips of white noise, 5 dB below the speech, so that it is known when each begins and ends; a chunk is
speech if more than half of it lies within. Takes 0 to 4 test and 5 to 9 validate. The net carries its state along.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from scipy.signal import resample_poly
from torch import Tensor, nn

import workbench as wb
from tests.benchmarks.real import spoken_digits
from tests.benchmarks.real.job import FLOAT, Job, Paths
from workbench.task.batch import Tree

CHUNK, BEFORE, CHUNKS = 512, 64, 32
LENGTH = CHUNK * CHUNKS
DECIBELS = 5.0


class VoiceNet(nn.Module):
    """Clips (N, 64 + 32 × 512) to logits of speech in each chunk (N, 32)."""

    def __init__(self) -> None:
        super().__init__()
        self.stft_conv = nn.Conv1d(1, 258, 256, stride=128, bias=False)
        self.conv1 = nn.Conv1d(129, 128, 3, padding=1)
        self.conv2 = nn.Conv1d(128, 64, 3, stride=2, padding=1)
        self.conv3 = nn.Conv1d(64, 64, 3, stride=2, padding=1)
        self.conv4 = nn.Conv1d(64, 128, 3, padding=1)
        self.lstm_cell = nn.LSTMCell(128, 128)
        self.final_conv = nn.Conv1d(128, 1, 1)

    def forward(self, clips: Tensor) -> Tensor:
        chunks = F.pad(clips.unfold(1, BEFORE + CHUNK, CHUNK), (0, BEFORE), "reflect")  # [N, 32, 640]
        real, imaginary = self.stft_conv(chunks.flatten(0, 1)[:, None]).chunk(2, 1)
        x = (real.square() + imaginary.square()).sqrt()
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = F.relu(conv(x))
        steps = x.reshape(clips.shape[0], -1, x.shape[1])
        hidden = cell = steps.new_zeros(clips.shape[0], x.shape[1])
        states = []
        for step in steps.unbind(1):
            hidden, cell = self.lstm_cell(step, (hidden, cell))
            states.append(hidden)
        logits: Tensor = self.final_conv(F.relu(torch.stack(states, 2)))[:, 0]
        return logits


def clips(waves: list[Tensor], seed: int) -> tuple[Tensor, Tensor]:
    """Return clips of one recording each, [n, 64 + 32 × 512], and which chunks are speech, [n, 32]."""
    rng, made, labels = np.random.default_rng(seed), [], []
    for wave in waves:
        speech = resample_poly(wave.numpy(), 2, 1)[: LENGTH - 2 * CHUNK]
        start = int(rng.integers(CHUNK, LENGTH - len(speech)))
        loudness = float(np.sqrt(np.square(speech).mean()))
        clip = rng.normal(0.0, loudness * 10 ** (-DECIBELS / 20), BEFORE + LENGTH)
        clip[BEFORE + start : BEFORE + start + len(speech)] += speech
        edges = np.arange(CHUNKS) * CHUNK
        inside = np.minimum(edges + CHUNK, start + len(speech)) - np.maximum(edges, start)
        made.append(clip)
        labels.append(inside > CHUNK / 2)
    return torch.from_numpy(np.stack(made)).float(), torch.from_numpy(np.stack(labels)).float()


def subject(paths: Paths, _: Path) -> wb.Subject:
    """Return the trained net."""
    waves, _, takes = spoken_digits.recordings(paths["spoken-digits"])
    tested, validated = (
        spoken_digits.part_of(takes, numbers) for numbers in (spoken_digits.TESTED, spoken_digits.VALIDATED)
    )
    parts = {"train": ~(tested | validated), "validation": validated, "test": tested}
    splits = {
        name: clips([waves[number] for number in part.nonzero().flatten().tolist()], seed)
        for seed, (name, part) in enumerate(parts.items())
    }
    net = VoiceNet()
    net.load_state_dict(load_file(paths["silero-weights"]))
    return wb.Subject("silero", net.eval(), wb.Task(**splits, metric="auc", name="speech in noise"))


def judge(outputs: Tree, targets: Tree) -> float:
    """Return the area under ROC as torchmetrics has it."""
    from torchmetrics.classification import BinaryAUROC

    # The metric takes a sigmoid of logits in float32, where many become equal to 1; ranks stay in wider numbers.
    return float(BinaryAUROC()(outputs.double().sigmoid().flatten(), targets.flatten().long()))


JOB = Job(
    "silero",
    ("silero-weights", "spoken-digits"),
    subject,
    {
        FLOAT: (),
        "int8": (wb.Quantize(activations=8),),
        "4 bits": (wb.Quantize(bits=4, rounding="second-order"),),
        "half of the weights": (
            wb.Prune(amount=0.5, ranking="global", exclude="stft_conv"),
            wb.Distill(epochs=2, learning_rate=0.0005, soft=0.5),
        ),
    },
    judge,
    tolerance=1e-5,
)
