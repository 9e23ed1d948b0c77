"""Small nets that say what is where: a class for each pixel, and boxes with classes."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CELL = 8  # pixels of a side of the squares that each look for one object
CLASSES = 10
SCALE = 16.0  # pixels, by which sizes of boxes are told


def _twice(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(),
    )  # fmt: skip


class Segmenter(nn.Module):
    """Images (N, 1, 32, 32) to logits of classes for each pixel (N, 11, 32, 32).

    Source: Ronneberger, Fischer, Brox, "U-Net", 2015, in small.
    """

    def __init__(self, width: int = 12) -> None:
        super().__init__()
        self.down1, self.down2, self.bottom = _twice(1, width), _twice(width, 2 * width), _twice(2 * width, 4 * width)
        self.up2 = nn.ConvTranspose2d(4 * width, 2 * width, 2, stride=2)
        self.side2 = _twice(4 * width, 2 * width)
        self.up1 = nn.ConvTranspose2d(2 * width, width, 2, stride=2)
        self.side1 = _twice(2 * width, width)
        self.head = nn.Conv2d(width, 1 + CLASSES, 1)

    def forward(self, images: Tensor) -> Tensor:
        one = self.down1(images)
        two = self.down2(F.max_pool2d(one, 2))
        x = self.bottom(F.max_pool2d(two, 2))
        x = self.side2(torch.cat([self.up2(x), two], 1))
        x = self.side1(torch.cat([self.up1(x), one], 1))
        logits: Tensor = self.head(x)
        return logits


class Detector(nn.Module):
    """Images (N, 1, 32, 32) to a box and logits of classes for each of 16 squares.

    Gives boxes (N, 16, 4) of left, top, right, bottom in pixels, and scores (N, 16, 11), the last one for nothing.

    Source: Redmon et al., "You Only Look Once", 2016, in small.
    """

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _twice(1, width), nn.MaxPool2d(2), _twice(width, 2 * width), nn.MaxPool2d(2),
            _twice(2 * width, 3 * width), nn.MaxPool2d(2), _twice(3 * width, 3 * width),
        )  # fmt: skip
        self.boxes = nn.Conv2d(3 * width, 4, 1)
        self.scores = nn.Conv2d(3 * width, CLASSES + 1, 1)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        x = self.body(images)
        rows, columns = x.shape[2:]
        y, left = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        corners = torch.stack([left, y], -1).reshape(1, -1, 2).to(x) * CELL
        offsets = self.boxes(x).flatten(2).transpose(1, 2)
        centres = corners + torch.sigmoid(offsets[..., :2]) * CELL
        halves = torch.exp(offsets[..., 2:].clamp(-3, 3)) * SCALE / 2
        boxes = torch.cat([centres - halves, centres + halves], -1)
        return {"boxes": boxes, "scores": self.scores(x).flatten(2).transpose(1, 2)}
