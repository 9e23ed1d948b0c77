"""`wb.load`: a text to a subject."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from workbench.errors import WorkbenchError
from workbench.loading import embedded, exported, libraries, python_file
from workbench.loading.data import Data, read_task
from workbench.loading.named import check_named
from workbench.loading.source import Source
from workbench.loading.weights import load_weights
from workbench.model.subject import Subject
from workbench.task.batch import Output
from workbench.task.classes import IGNORED
from workbench.task.loss import Loss
from workbench.task.metric import Judge, Metric
from workbench.task.task import Task

SOURCES: tuple[Source, ...] = (exported.SOURCE, python_file.SOURCE, *libraries.SOURCES)


def load(
    what: str | Path,
    *,
    task: Task | None = None,
    checkpoint: str | Path | None = None,
    pretrained: bool = False,
    validation: Data = None,
    train: Data = None,
    test: Data = None,
    classes: Sequence[str] = (),
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    size: int = 224,
    metric: str | Metric | Judge | Any = "accuracy",
    loss: str | Loss | None = None,
    output: Output = None,
    target: str = "",
    class_dim: int | None = None,
    ignored: int = IGNORED,
    higher_is_better: bool | None = None,
    columns: Sequence[str] = (),
    name: str = "",
) -> Subject:
    """Return a subject.

    Args:
        what: An embedded name ("digits-resnet", "digits-transformer"), "torchvision:NAME", "timm:NAME",
            "hf:FOLDER" (any class of transformers), "path/to/nets.py:factory", or a folder that `export` wrote.
        task: What the model is for; or give data by the arguments below.
        checkpoint: Weights: .safetensors, or .pt/.pth/.th that hold tensors only.
        pretrained: Download the library's weights. Nothing is downloaded without it.
        validation: A .npz file (optionally with a slice: "x.npz[:5000]"), a folder of images or .wav sounds with one
            folder a class, or anything `Task` takes. For "hf:" also a table: .csv, .tsv or .jsonl (.gz too), a list of
            dicts, or what has the interface of `datasets.Dataset`.
        train: The same.
        test: The same.
        classes: Class names; by default those in the .npz or the folder's.
        mean: For images, per channel, after division by 255.
        std: For images, per channel.
        size: Side length that images of a folder are brought to, pixels.
        metric: As `Task`'s.
        loss: As `Task`'s.
        output: As `Task`'s.
        target: As `Task`'s.
        class_dim: As `Task`'s.
        ignored: As `Task`'s.
        higher_is_better: As `Task`'s.
        columns: Of a table, what enters the model; by default columns of the usual names ("text", "tokens", "image",
            "audio", pairs of sentences). Labels are in "label" or "labels".
        name: What to call it.

    Raises:
        WorkbenchError: Nothing of that name is known, an extra is not installed, a file cannot be read or does
            not fit, or there is no data to judge by.
    """
    text = str(what)
    if text in embedded.NAMES:
        if task is None and any(data is not None for data in (validation, train, test)):
            raise WorkbenchError(f"{text} brings its own data; give task=... to judge it by other data")
        return _embedded(text, task, checkpoint, name)
    check_named(text)
    loaded = next(source for source in SOURCES if source.takes(text)).get(text, pretrained)
    left_out = load_weights(loaded.model, Path(checkpoint)) if checkpoint is not None else ""
    if task is None and validation is None and loaded.task_source in embedded.NAMES:
        task = embedded.build(loaded.task_source).task
    if task is None:
        if loaded.prepare is not None:
            validation, train, test = (loaded.prepare(data, columns) for data in (validation, train, test))
            classes = classes or loaded.classes
        task = read_task(
            validation=validation, train=train, test=test, classes=classes, mean=mean, std=std, size=size,
            metric=metric, loss=loss, output=output, target=target, class_dim=class_dim, ignored=ignored,
            higher_is_better=higher_is_better,
        )  # fmt: skip
    notes = (*loaded.notes, *((left_out,) if left_out else ()))
    return Subject(name or loaded.name, loaded.model, task, source=text, codings=loaded.codings, notes=notes)


def load_model(folder: str | Path) -> nn.Module:
    """Return only the model of an exported folder, without a task.

    Raises:
        WorkbenchError: The folder is damaged, or not one that `export` wrote.
    """
    return exported.SOURCE.get(str(folder), False).model


def _embedded(source: str, task: Task | None, checkpoint: str | Path | None, name: str) -> Subject:
    subject = embedded.build(source)
    if checkpoint is not None:
        load_weights(subject.model, Path(checkpoint))
    return Subject(name or source, subject.model, task or subject.task, source=source)
