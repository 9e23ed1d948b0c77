"""The embedded task: handwritten digits from scikit-learn, enlarged to 32 × 32 and jittered by a seed.

The 1,797 originals (8 × 8 pixels, 17 grey levels) are dealt out to train, validation and test before any copy
is made, so no original of one split is seen in another. Every original then appears as `COPIES` samples, each
jittered in its own way.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from workbench.errors import WorkbenchError

Images = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]

SPLITS = ("train", "validation", "test")
CLASSES = tuple(str(digit) for digit in range(10))
COPIES = 8
SIDE = 32
SEED = 1797

# Of the training split's pixels / 255; constants, so that nobody has to load the data to normalise an image.
MEAN = (0.199,)
STD = (0.237,)

# How far a sample strays from its original: uniform, symmetric about upright, SCALE and the centre.
ROTATION = 30.0  # degrees
SCALE = (0.54, 0.92)  # of the image's side
STRETCH = 0.18  # relative, between the two axes
SHEAR = 0.35
SHIFT = 0.16  # of the image's side
CONTRAST = (0.45, 1.0)
BRIGHTNESS = 0.12
NOISE = (0.03, 0.20)  # standard deviation of the grey value; differs by sample


@lru_cache(maxsize=len(SPLITS))
def digits(split: str) -> tuple[Images, Labels]:
    """Return the jittered samples of a split: images (N, 1, 32, 32), 0-255, and labels (N,), 0-9.

    The arrays are shared by all callers and cannot be written to. Sample `i` is a copy of original
    `originals(split)[i]`; the first copies of all originals come first, then the second copies, and so on.

    Raises:
        WorkbenchError: There is no such split.
    """
    pixels, labels = _load()
    source = originals(split)
    rng = np.random.default_rng([SEED, SPLITS.index(split)])
    images = jitter(pixels[source], rng)
    return _frozen(images), _frozen(labels[source])


def originals(split: str) -> npt.NDArray[np.int64]:
    """Return for each sample of a split, (N,), the index of its original among the 1,797.

    Raises:
        WorkbenchError: There is no such split.
    """
    if split not in SPLITS:
        raise WorkbenchError(f"no split {split!r}: the digits have {', '.join(SPLITS)}")
    return np.tile(_deal()[split], COPIES)


def originals_of(split: str) -> tuple[npt.NDArray[np.float32], Labels]:
    """Return the originals of a split, (N, 8, 8) in 0-1, and their labels (N,), to be jittered afresh."""
    pixels, labels = _load()
    return pixels[_deal()[split]], labels[_deal()[split]]


def jitter(pixels: npt.NDArray[np.float32], rng: np.random.Generator) -> Images:
    """Turn, scale, stretch, shear, shift, fade and roughen: (N, 8, 8) in 0-1 to (N, 1, 32, 32), 0-255."""
    count = len(pixels)
    grid = _grid(_inverse_affine(count, rng))
    source = torch.from_numpy(pixels)[:, None]
    drawn = F.grid_sample(source, grid, mode="bicubic", padding_mode="zeros", align_corners=False)
    contrast, brightness, noise = (
        torch.from_numpy(rng.uniform(*bounds, size=(count, 1, 1, 1)).astype(np.float32))
        for bounds in (CONTRAST, (0.0, BRIGHTNESS), NOISE)
    )
    roughness = torch.from_numpy(rng.standard_normal(drawn.shape, dtype=np.float32))
    grey = roughness.mul_(noise).add_(drawn.clamp_(0, 1).mul_(contrast)).add_(brightness)
    images: Images = grey.clamp_(0, 1).mul_(255).round_().to(torch.uint8).numpy()
    return images


def normalise(images: Images) -> Tensor:
    """Return what the networks take: images (N, 1, 32, 32), 0-255, as float32 of mean 0 and deviation 1."""
    return (torch.from_numpy(images.astype(np.float32)) / 255 - MEAN[0]) / STD[0]


def _inverse_affine(count: int, rng: np.random.Generator) -> Tensor:
    """Draw maps (count, 2, 3) from places in the sample to places in the original, each in -1 to 1."""
    angle = np.deg2rad(rng.uniform(-ROTATION, ROTATION, count))
    scale = rng.uniform(*SCALE, count)
    stretch = rng.uniform(1 - STRETCH, 1 + STRETCH, count)
    shear = rng.uniform(-SHEAR, SHEAR, count)
    shift = rng.uniform(-2 * SHIFT, 2 * SHIFT, (count, 2, 1))
    zero, one = np.zeros(count), np.ones(count)
    turn = _matrices(np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle))
    linear = _matrices(1 / (scale * stretch), zero, zero, stretch / scale) @ _matrices(one, shear, zero, one) @ turn
    return torch.from_numpy(np.concatenate([linear, -linear @ shift], axis=2).astype(np.float32))


def _matrices(*entries: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return (N, 2, 2) from four entries (N,), row by row."""
    return np.stack(entries, axis=1).reshape(-1, 2, 2)


def _grid(affine: Tensor) -> Tensor:
    """Return sampling positions (N, 32, 32, 2) for maps (N, 2, 3)."""
    # One product for all samples: `affine_grid` makes one tiny product a sample, ten times as slow.
    centres = (torch.arange(SIDE) * 2 + 1) / SIDE - 1
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    homogeneous = torch.stack([x.flatten(), y.flatten(), torch.ones(SIDE * SIDE)])
    positions = affine.reshape(-1, 3) @ homogeneous
    return positions.reshape(-1, 2, SIDE, SIDE).permute(0, 2, 3, 1)


@lru_cache(maxsize=1)
def _load() -> tuple[npt.NDArray[np.float32], Labels]:
    """Return all originals, (1797, 8, 8) in 0-1, and their labels, (1797,)."""
    from sklearn.datasets import load_digits  # seconds to import, and only this function needs it

    bunch = load_digits()
    return (bunch.images / 16).astype(np.float32), bunch.target.astype(np.int64)


@lru_cache(maxsize=1)
def _deal() -> dict[str, npt.NDArray[np.int64]]:
    """Deal two thirds to train and a sixth each to validation and test, every class in proportion."""
    _, labels = _load()
    shuffled = np.random.default_rng(SEED).permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    turn = np.arange(len(labels)) % 6
    return {
        "train": np.sort(by_class[turn > 1]),
        "validation": np.sort(by_class[turn == 0]),
        "test": np.sort(by_class[turn == 1]),
    }


def _frozen(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    array.setflags(write=False)
    return array
