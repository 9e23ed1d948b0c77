"""Handwritten digits scattered on a canvas, so that masks and boxes are known: from scikit-learn's, by a seed.

The originals of one split are in no other, as for the plain digits.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from workbench.loading.embedded.digits_data import SPLITS, originals_of

SIDE = 32
MOST = 3
COUNTS = {"train": 3000, "validation": 1000, "test": 1000}
SEED = 1797
SIZES = (10, 17)  # of a digit, in pixels
INK = 0.35  # grey value, 0 to 1, from which on a pixel is a digit's
NOISE = 0.08
MEAN, STD = (0.08,), (0.18,)
NOTHING = -1


@lru_cache(maxsize=3)
def canvases(split: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return canvases and what is on them.

    Returns:
        Images uint8 [n, 1, 32, 32]; masks int64 [n, 32, 32], 0 for nothing and 1 + digit; boxes float32 [n, 3, 4] of
        left, top, right, bottom in pixels; digits int64 [n, 3], -1 where there are fewer.
    """
    pixels, labels = originals_of(split)
    rng = np.random.default_rng([SEED, 1, SPLITS.index(split)])
    count = COUNTS[split]
    images = np.zeros((count, 1, SIDE, SIDE), np.float32)
    masks = torch.zeros(count, SIDE, SIDE, dtype=torch.int64)
    boxes = torch.zeros(count, MOST, 4)
    digits = torch.full((count, MOST), NOTHING)
    for number in range(count):
        placed = 0
        for _ in range(int(rng.integers(1, MOST + 1))):
            chosen, side = int(rng.integers(len(labels))), int(rng.integers(*SIZES))
            digit = _scaled(pixels[chosen], side)
            left, top = (int(rng.integers(SIDE - side)) for _ in range(2))
            box = torch.tensor([left, top, left + side, top + side], dtype=torch.float32)
            if placed and bool(_overlap(boxes[number, :placed], box).any()):
                continue  # digits on top of each other are nobody's
            part = np.s_[top : top + side, left : left + side]
            images[(number, 0, *part)] = np.maximum(images[(number, 0, *part)], digit)
            masks[(number, *part)][torch.from_numpy(digit > INK)] = 1 + int(labels[chosen])
            boxes[number, placed], digits[number, placed] = box, int(labels[chosen])
            placed += 1
    images += rng.normal(0.0, NOISE, images.shape).astype(np.float32)
    return torch.from_numpy((images.clip(0, 1) * 255).round().astype(np.uint8)), masks, boxes, digits


def segments(split: str) -> tuple[Tensor, Tensor]:
    """Return canvases and their masks."""
    images, masks, *_ = canvases(split)
    return images, masks


def objects(split: str) -> tuple[Tensor, dict[str, Tensor]]:
    """Return canvases, and boxes and labels of what is on them."""
    images, _, boxes, digits = canvases(split)
    return images, {"boxes": boxes, "labels": digits}


def _scaled(pixels: npt.NDArray[np.float32], side: int) -> npt.NDArray[np.float32]:
    image = torch.from_numpy(pixels)[None, None]
    grown = F.interpolate(image, (side, side), mode="bicubic", align_corners=False)
    scaled: npt.NDArray[np.float32] = grown.clamp(0, 1)[0, 0].numpy()
    return scaled


def _overlap(boxes: Tensor, box: Tensor) -> Tensor:
    """Return which boxes [n, 4] share a pixel with another, [4]."""
    return ((boxes[:, :2] < box[2:]) & (box[:2] < boxes[:, 2:])).all(1)
