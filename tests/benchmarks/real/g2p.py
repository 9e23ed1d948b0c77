"""Sequence to sequence: spelling to phonemes, by the trained net of the g2p_en package (834,890 parameters).

The weights are the arrays of that package (https://github.com/Kyubyong/g2p, Apache-2.0), `enc_emb`, `enc_w_ih` and so
on, in one .npz. The truth is the CMU pronouncing dictionary, gzipped (https://github.com/cmusphinx/cmudict), whose
words the net was trained on: what is scored is how well compression keeps what it knows. A word has several
pronunciations, of which the nearest counts.

Cho et al.: "Learning Phrase Representations using RNN Encoder-Decoder", 2014.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import workbench as wb
from tests.benchmarks.real.job import FLOAT, Job, Paths, dealt
from workbench.task.batch import Tree
from workbench.task.named import edits

LETTERS = ("<pad>", "<unk>", "</s>", *"abcdefghijklmnopqrstuvwxyz")
VOWELS = ("AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW")
CONSONANTS = (
    "B", "CH", "D", "DH", "F", "G", "HH", "JH", "K", "L", "M", "N", "NG", "P", "R", "S", "SH", "T", "TH", "V", "W", "Y",
    "Z", "ZH",
)  # fmt: skip
PHONEMES = (
    "<pad>", "<unk>", "<s>", "</s>",
    *sorted([*CONSONANTS, "UW", *(f"{vowel}{stress}" for vowel in VOWELS for stress in "012")]),
)  # fmt: skip
PAD, START, END = 0, 2, 3
LONGEST, MOST = 20, 3  # letters or phonemes with their end, and pronunciations of a word
VALIDATED, TESTED, TRAINED = 1000, 2000, 10000
IGNORED = -100


class Speller(nn.Module):
    """A word (N, 20) and what was said of it (N, 20) to logits of each next phoneme (N, 20, 74).

    Where nothing was said, which is `<pad>`, the net's own last phoneme is read: with the truth in `said` the net is
    taught, and with no more than a start in it it is asked.
    """

    def __init__(self, width: int = 256) -> None:
        super().__init__()
        self.read = nn.Embedding(len(LETTERS), width)
        self.encoder = nn.GRU(width, width, batch_first=True)
        self.spoken = nn.Embedding(len(PHONEMES), width)
        self.decoder = nn.GRUCell(width, width)
        self.fc = nn.Linear(width, len(PHONEMES))

    def forward(self, word: Tensor, said: Tensor) -> Tensor:
        states, _ = self.encoder(self.read(word))
        # What comes after the word's end is not read: the state at the end is the word.
        ends = (word != PAD).sum(1) - 1
        state = states.gather(1, ends[:, None, None].expand(-1, 1, states.shape[2]))[:, 0]
        last, logits = said[:, 0], []
        for place in range(LONGEST):
            last = torch.where(said[:, place] == PAD, last, said[:, place])
            state = self.decoder(self.spoken(last), state)
            logits.append(self.fc(state))
            last = logits[-1].argmax(1)
        return torch.stack(logits, 1)


def weights(path: str) -> dict[str, Tensor]:
    """Return the package's arrays under our names."""
    with np.load(path) as file:
        arrays = {name: torch.from_numpy(file[name].astype(np.float32)) for name in file.files}
    kinds = ("w_ih", "w_hh", "b_ih", "b_hh")
    names = {kind: f"{'weight' if kind[0] == 'w' else 'bias'}_{kind[2:]}" for kind in kinds}
    gates = {f"encoder.{names[kind]}_l0": arrays[f"enc_{kind}"] for kind in kinds}
    gates |= {f"decoder.{names[kind]}": arrays[f"dec_{kind}"] for kind in kinds}
    ends = {"read.weight": "enc_emb", "spoken.weight": "dec_emb", "fc.weight": "fc_w", "fc.bias": "fc_b"}
    return gates | {ours: arrays[theirs] for ours, theirs in ends.items()}


def dictionary(path: str) -> list[tuple[str, list[list[str]]]]:
    """Return words of plain letters with their pronunciations, as far as both are short enough."""
    found: dict[str, list[list[str]]] = {}
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            word, *phonemes = line.partition("#")[0].split()
            found.setdefault(word.partition("(")[0], []).append(phonemes)
    return [
        (word, ways[:MOST])
        for word, ways in found.items()
        if word.isascii() and word.isalpha() and len(word) < LONGEST and all(len(way) < LONGEST for way in ways)
    ]


def asked(words: list[tuple[str, list[list[str]]]]) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """Return words and a start, and the pronunciations [n, 3, 20]; where there are fewer, the first one again."""
    letters, ways = torch.full((len(words), LONGEST), PAD), torch.full((len(words), MOST, LONGEST), IGNORED)
    for row, (word, told) in enumerate(words):
        spelling = [*(LETTERS.index(letter) for letter in word), LETTERS.index("</s>")]
        letters[row, : len(spelling)] = torch.tensor(spelling)
        for place in range(MOST):
            way = told[place] if place < len(told) else told[0]
            numbers = [*(PHONEMES.index(phoneme) for phoneme in way), END]
            ways[row, place, : len(numbers)] = torch.tensor(numbers)
    start = torch.full((len(words), LONGEST), PAD)
    start[:, 0] = START
    return (letters, start), ways


def taught(words: list[tuple[str, list[list[str]]]]) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """Return words with the phonemes before each, for training."""
    (letters, start), ways = asked(words)
    before = ways[:, 0, :-1].clamp(min=END)  # what is read after the end does not count
    return (letters, torch.cat([start[:, :1], before], 1)), ways


def plain(numbers: list[int]) -> list[int]:
    """Return phonemes up to the end."""
    return numbers[: numbers.index(END)] if END in numbers else [number for number in numbers if number != IGNORED]


def nearest(outputs: Tree, targets: Tree) -> list[tuple[list[int], list[int]]]:
    """Return what was said and the pronunciation that is nearest to it, of each word."""
    pairs = []
    for said, ways in zip(outputs.argmax(2).tolist(), targets.tolist(), strict=True):
        mine = plain(said)
        pairs.append((mine, min((plain(way) for way in ways), key=lambda way: edits(mine, way) / max(len(way), 1))))
    return pairs


def exact_words(outputs: Tree, targets: Tree) -> Tensor:
    """Return which words are said in one of their ways, [n]."""
    return torch.tensor([float(mine == way) for mine, way in nearest(outputs, targets)])


def phoneme_sums(outputs: Tree, targets: Tree) -> Tensor:
    """Return edits to the nearest pronunciation and its phonemes, [n, 2]."""
    return torch.tensor([[edits(mine, way), len(way)] for mine, way in nearest(outputs, targets)]).double()


def loss(outputs: Tree, targets: Tree) -> Tensor:
    """Return the cross-entropy of the first pronunciation."""
    return F.cross_entropy(outputs.flatten(0, 1), targets[:, 0].flatten(), ignore_index=IGNORED)


def subject(paths: Paths, _: Path) -> wb.Subject:
    """Return the trained net."""
    words = dictionary(paths["g2p-words"])
    validated, tested, trained, _ = (
        [words[number] for number in part] for part in dealt(len(words), 0, VALIDATED, TESTED, TRAINED)
    )
    net = Speller()
    net.load_state_dict(weights(paths["g2p-weights"]))
    task = wb.Task(
        train=taught(trained), validation=asked(validated), test=asked(tested), loss=loss, name="words to phonemes",
        metric=wb.Metric("exact words", exact_words, "%", bounds=(0.0, 1.0)),
    )  # fmt: skip
    return wb.Subject("g2p", net.eval(), task)


def judge(outputs: Tree, targets: Tree) -> float:
    """Return the part of exact words, as texts that are compared."""
    right = [mine == way for mine, way in spelt(outputs, targets)]
    return sum(right) / len(right)


def spelt(outputs: Tree, targets: Tree) -> list[tuple[str, str]]:
    """Return what was said and the nearest pronunciation as texts."""
    pairs = nearest(outputs, targets)
    return [(" ".join(PHONEMES[n] for n in mine), " ".join(PHONEMES[n] for n in way)) for mine, way in pairs]


def phoneme_errors(outputs: Tree, targets: Tree) -> float:
    """Return the phoneme error rate, which torchmetrics has to agree with."""
    from torchmetrics.text import WordErrorRate

    edited, length = phoneme_sums(outputs, targets).sum(0).tolist()
    mine, ways = zip(*spelt(outputs, targets), strict=True)
    assert abs(float(WordErrorRate()(list(mine), list(ways))) - edited / length) < 1e-6
    return edited / length


JOB = Job(
    "g2p",
    ("g2p-weights", "g2p-words"),
    subject,
    {
        FLOAT: (),
        "int8": (wb.Quantize(activations=8),),
        "4 bits": (wb.Quantize(bits=4, ranges="mse"),),
        "half of the weights": (
            wb.Prune(amount=0.5, ranking="global"),
            wb.Distill(epochs=2, learning_rate=0.0005, soft=0.5),
        ),
    },
    judge,
    others={"phoneme errors": phoneme_errors},
)
