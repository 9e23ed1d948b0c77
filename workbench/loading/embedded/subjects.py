"""The subjects that come with the package, each a net, what it is for, and how it was trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn

from workbench.loading.embedded import digits_data, names_data, scattered_data
from workbench.loading.embedded.resnet import digits_resnet
from workbench.loading.embedded.scattered import Detector, Segmenter
from workbench.loading.embedded.text import LetterModel, NameClassifier, Transliterator
from workbench.loading.embedded.transformer import digits_transformer
from workbench.task.task import Task


@dataclass(frozen=True)
class Training:
    """How a net is trained.

    Attributes:
        epochs: Passes over the train split.
        rate: The highest of the one-cycle schedule.
        decay: Of weights.
        batch: Samples for a step.
        seed: Of all chance.
    """

    epochs: int
    rate: float
    decay: float = 0.05
    batch: int = 64
    seed: int = 0


@dataclass(frozen=True)
class Embedded:
    """One subject.

    Attributes:
        net: Makes it untrained, in training mode.
        task: Makes what it is for; each split is made when it is first read.
        training: How its weights were trained.
        title: What people read.
    """

    net: Callable[[], nn.Module]
    task: Callable[[], Task]
    training: Training
    title: str


def _digits() -> Task:
    return Task(
        train=partial(digits_data.digits, "train"), validation=partial(digits_data.digits, "validation"),
        test=partial(digits_data.digits, "test"), classes=digits_data.CLASSES, mean=digits_data.MEAN,
        std=digits_data.STD, name="digits",
    )  # fmt: skip


def _letters(inputs: tuple[Tensor, ...]) -> str:
    return names_data.decode(inputs[0], names_data.LATIN)


def _both(inputs: tuple[Tensor, ...]) -> str:
    source, written = inputs
    return f"{names_data.decode(source, names_data.LATIN)} → {names_data.decode(written, names_data.CYRILLIC)}"


def _languages() -> Task:
    return Task(
        train=partial(names_data.languages, "train"), validation=partial(names_data.languages, "validation"),
        test=partial(names_data.languages, "test"), classes=names_data.LANGUAGES, name="languages of names",
        describe=_letters,
    )  # fmt: skip


def _next_letters() -> Task:
    return Task(
        train=partial(names_data.next_letters, "train"), validation=partial(names_data.next_letters, "validation"),
        test=partial(names_data.next_letters, "test"), metric="bits", class_dim=-1, name="next letters of names",
        describe=_letters,
    )  # fmt: skip


def _transliterations() -> Task:
    return Task(
        train=partial(names_data.transliterations, "train"),
        validation=partial(names_data.transliterations, "validation"),
        test=partial(names_data.transliterations, "test"), metric="accuracy", class_dim=-1,
        name="names in Cyrillic letters", describe=_both,
    )  # fmt: skip


def _segments() -> Task:
    return Task(
        train=partial(scattered_data.segments, "train"), validation=partial(scattered_data.segments, "validation"),
        test=partial(scattered_data.segments, "test"), metric="miou", class_dim=1, mean=scattered_data.MEAN,
        std=scattered_data.STD, classes=("nothing", *digits_data.CLASSES), name="pixels of scattered digits",
    )  # fmt: skip


def _objects() -> Task:
    return Task(
        train=partial(scattered_data.objects, "train"), validation=partial(scattered_data.objects, "validation"),
        test=partial(scattered_data.objects, "test"), metric="map", output=("boxes", "scores"),
        mean=scattered_data.MEAN, std=scattered_data.STD, classes=digits_data.CLASSES,
        name="boxes of scattered digits",
    )  # fmt: skip


SUBJECTS: dict[str, Embedded] = {
    "digits-resnet": Embedded(digits_resnet, _digits, Training(13, 3e-3), "images: a residual net"),
    "digits-transformer": Embedded(digits_transformer, _digits, Training(130, 2e-3), "images: a transformer"),
    "names-classifier": Embedded(NameClassifier, _languages, Training(12, 3e-3), "text: which language a name is in"),
    "names-language-model": Embedded(LetterModel, _next_letters, Training(12, 3e-3), "text: the next letter"),
    "names-transliterator": Embedded(
        Transliterator, _transliterations, Training(25, 4e-3), "text: a name in other letters, by recurrent layers"
    ),
    "scattered-segmenter": Embedded(
        Segmenter, _segments, Training(16, 5e-3, batch=32), "images: a class for each pixel"
    ),
    "scattered-detector": Embedded(Detector, _objects, Training(24, 5e-3, batch=32), "images: boxes"),
}
