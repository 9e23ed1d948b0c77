"""Sounds in one folder a class."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from workbench.checkpoint.reading import open_file
from workbench.errors import WorkbenchError, first_line, shown
from workbench.loading.class_folder import ClassFolder

MOST_SECONDS = 60


def holds_sounds(root: Path) -> bool:
    """Return whether the folders in a folder hold .wav files."""
    return any(
        path.suffix.lower() == ".wav" for folder in root.iterdir() if folder.is_dir() for path in folder.iterdir()
    )


class SoundFolder(ClassFolder):
    """.wav files in one folder a class, read when they are needed, as `[1, samples]` from -1 to 1.

    All are as long as the longest one, with silence behind; several channels are averaged.

    Raises:
        WorkbenchError: There are none, one cannot be read, or they differ in samples a second.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(root, (".wav",), "sounds", ".wav files")
        rates: dict[int, Path] = {}
        self.length = 0
        for path, _ in self.files:
            rate, wave = read_sound(path)
            rates.setdefault(rate, path)
            self.length = max(self.length, len(wave))
        if len(rates) > 1:
            some = ", ".join(f"{rate} ({path.name})" for rate, path in rates.items())
            raise WorkbenchError(f"{root}: all sounds must have the same number of samples a second, not {some}")

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        path, label = self.files[index]
        _, wave = read_sound(path)
        padded = torch.zeros(1, self.length)
        padded[0, : len(wave)] = torch.from_numpy(wave[: self.length])
        return padded, label


def read_sound(path: Path) -> tuple[int, np.ndarray[Any, Any]]:
    """Return samples a second, and a sound as float32 [samples] from -1 to 1.

    Raises:
        WorkbenchError: It is no .wav file, or longer than a minute.
    """
    from scipy.io import wavfile  # slow to import

    try:
        with open_file(path) as stream:
            rate, data = wavfile.read(stream)
    except WorkbenchError:
        raise
    except Exception as error:  # the reader raises whatever it trips over
        raise WorkbenchError(f"{path} cannot be read as a sound: {shown(first_line(error), 200)}") from error
    if len(data) > MOST_SECONDS * rate:
        raise WorkbenchError(f"{path} is longer than {MOST_SECONDS} seconds; cut it into pieces")
    values = np.asarray(data, np.float32)
    if data.dtype.kind in "iu":
        information = np.iinfo(data.dtype)
        middle = 128.0 if data.dtype == np.uint8 else 0.0
        values = (values - middle) / (float(information.max) + 1 - middle)
    return int(rate), values.mean(1, dtype=np.float32) if values.ndim > 1 else values
