"""Data from files: .npz arrays and folders of images; sounds and tables go their own way from here."""

from __future__ import annotations

import functools
import math
import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from workbench.checkpoint.reading import open_file
from workbench.errors import WorkbenchError, first_line, shown
from workbench.loading.class_folder import ClassFolder
from workbench.loading.npz import NUMBERS, read_arrays
from workbench.loading.sounds import SoundFolder, holds_sounds
from workbench.loading.tables import is_table
from workbench.task.loss import Loss
from workbench.task.metric import Judge, Metric
from workbench.task.task import Task

Data = Any
SLICE = re.compile(r"(?P<path>.+)\[(?P<low>\d{0,18}):(?P<high>\d{0,18})\]")
CHANNELS = (1, 3, 4)
MOST_PIXELS = 40_000_000  # of one picture; more than cameras have
PICTURES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff"}


def read_task(
    *,
    validation: Data,
    train: Data = None,
    test: Data = None,
    classes: Sequence[str] = (),
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    size: int = 224,
    metric: str | Metric | Judge | Any = "accuracy",
    loss: str | Loss | None = None,
    **judged: Any,
) -> Task:
    """Return a task from files or from anything that `Task` takes.

    Raises:
        WorkbenchError: There is no validation data, or a file cannot be read.
    """
    if validation is None:
        raise WorkbenchError(
            "there is no data to judge the model by; give validation='data.npz' (images, labels), an image folder, "
            "or task=wb.Task(...)"
        )
    names_of_classes = list(classes)
    splits = {}
    for split, data in (("validation", validation), ("train", train), ("test", test)):
        if isinstance(data, str | Path):
            data, names = read_data(data, size, mean, std)
            names_of_classes = names_of_classes or names
        splits[split] = data
    return Task(**splits, classes=names_of_classes, mean=mean, std=std, metric=metric, loss=loss, **judged)


def read_data(
    path: str | Path, size: int = 224, mean: Sequence[float] | None = None, std: Sequence[float] | None = None
) -> tuple[Any, list[str]]:
    """Return what `Task` takes, and the class names if the file has them.

    Args:
        path: A .npz file, "x.npz[100:200]" for some of it, or a folder with one folder of images or .wav files a class.
        size: Side length that images of a folder are brought to, pixels.
        mean: Per channel, for images of a folder.
        std: Per channel, for images of a folder.

    Raises:
        WorkbenchError: The file is missing or not of these kinds.
    """
    text = str(path)
    match = SLICE.fullmatch(text)
    if match:
        text = match["path"]
    if is_table(text):
        raise WorkbenchError(
            f"{text} is a table, and what turns text into numbers is not known; give hf:FOLDER as the "
            "model, whose tokenizer does, or a .npz of arrays"
        )
    if Path(text).is_dir():
        folder = SoundFolder(Path(text)) if holds_sounds(Path(text)) else ImageFolder(Path(text), size, mean, std)
        return folder, folder.classes
    images, labels, classes = read_npz(Path(text))
    if match:
        part = slice(int(match["low"] or 0), int(match["high"]) if match["high"] else None)
        images, labels = images[part], labels[part]
    return (images, labels), classes


def read_npz(path: Path) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], list[str]]:
    """Return images [N, C, H, W], labels [N] and class names of a .npz with `images`, `labels` and maybe `classes`.

    Images may be NHWC, NCHW or NHW.

    Raises:
        WorkbenchError: The file is missing, is no .npz, or lacks one of them.
    """
    arrays, held = read_arrays(path, ("images", "labels", "classes"))
    if "images" not in arrays or "labels" not in arrays:
        raise WorkbenchError(
            f"{path} must hold 'images' and 'labels'; it holds {shown(', '.join(held) or 'nothing', 200)}"
        )
    labels = arrays["labels"]
    if labels.ndim != 1:
        raise WorkbenchError(f"{path}: labels must be one number a sample, not of shape {labels.shape}")
    for name in ("images", "labels"):
        if arrays[name].dtype.kind not in NUMBERS:
            raise WorkbenchError(f"{path}: {name} must be numbers, not {arrays[name].dtype}")
    return channels_first(arrays["images"], path), labels, _classes(arrays, path)


def _classes(arrays: dict[str, np.ndarray[Any, Any]], path: Path) -> list[str]:
    classes = arrays.get("classes", np.array([]))
    if classes.ndim != 1:
        raise WorkbenchError(f"{path}: classes must be one name a class, not of shape {classes.shape}")
    return [name.decode(errors="replace") if isinstance(name, bytes) else str(name) for name in classes.tolist()]


def channels_first(images: np.ndarray[Any, Any], path: Path) -> np.ndarray[Any, Any]:
    """Return images as [N, C, H, W]."""
    if images.ndim == 3:
        return images[:, None]
    if images.ndim != 4:
        raise WorkbenchError(f"{path}: images must be [N, H, W], [N, H, W, C] or [N, C, H, W], not {images.shape}")
    if images.shape[1] not in CHANNELS and images.shape[3] in CHANNELS:
        return np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    return images


@functools.cache
def _decoders() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(min(os.cpu_count() or 1, 8), thread_name_prefix="decode")


class ImageFolder(ClassFolder):
    """Images in one folder a class, read when they are needed, cut to a square of `size` pixels."""

    def __init__(self, root: Path, size: int, mean: Sequence[float] | None, std: Sequence[float] | None) -> None:
        super().__init__(root, PICTURES, "images", "images")
        self.size = size
        self.mean = torch.tensor(mean or (0.0, 0.0, 0.0)).view(-1, 1, 1)
        self.std = torch.tensor(std or (1.0, 1.0, 1.0)).view(-1, 1, 1)

    def settings(self) -> tuple[Any, ...]:
        return self.size, self.mean.tolist(), self.std.tolist()

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self._read(index)

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[Tensor, int]]:
        """Return several images, decoded side by side: the decoders let go of the interpreter while they work.

        Threads, since a process would have to send back every pixel, and starting one takes longer than a batch.
        """
        if len(indices) == 1:
            return [self._read(indices[0])]
        return list(_decoders().map(self._read, indices))

    def _read(self, index: int) -> tuple[Tensor, int]:
        path, label = self.files[index]
        pixels = torch.from_numpy(read_image(path, self.size)).permute(2, 0, 1).float() / 255
        return (pixels - self.mean) / self.std, label


def read_image(path: Path, size: int) -> np.ndarray[Any, Any]:
    """Return a picture, cut to a square of `size` pixels, as uint8 [size, size, 3].

    Raises:
        WorkbenchError: It is no plain file, no picture or half of one, or claims more pixels than `MOST_PIXELS`.
    """
    from PIL import Image, ImageOps

    try:
        with open_file(path) as stream, Image.open(stream) as picture:
            # Known from the header, before anything is unpacked: few bytes may stand for billions of equal pixels.
            if math.prod(picture.size) > MOST_PIXELS:
                raise WorkbenchError(f"{path} claims {picture.size} pixels; {MOST_PIXELS} in all may be")
            fitted = ImageOps.fit(picture.convert("RGB"), (size, size), Image.Resampling.BILINEAR)
            return np.array(fitted)
    except WorkbenchError:
        raise
    except Exception as error:  # the decoders raise whatever they trip over
        raise WorkbenchError(f"{path} cannot be read as an image: {shown(first_line(error), 200)}") from error
