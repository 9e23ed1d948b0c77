"""Detection: red and white blood cells and platelets in microscope images, by a small one-stage detector.

The file is BCCD (https://github.com/Shenggan/BCCD_Dataset, MIT) as .npz: `jpeg` with `offsets`, `boxes` of class, left,
top, right, bottom, of which image i has `boxes[first[i]:first[i + 1]]`, `classes`, `split`. Images of 640 × 480 pixels
are brought to 160 × 120, and each trains in its four mirror images.

Redmon et al.: "You Only Look Once", 2016, in small.
"""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

import workbench as wb
from tests.benchmarks.real.job import FLOAT, Job, Paths, seeded, trained
from workbench.task.batch import Tree
from workbench.task.detection import detected

SHRINK, WIDE, HIGH = 4, 160, 120
CELL, SCALE = 8, 24.0  # pixels of a cell's side, and by which sizes of boxes are told
MEAN, STD = (0.66, 0.64, 0.71), (0.15, 0.20, 0.10)
NOTHING = -1
Targets = dict[str, Tensor]


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())


class CellNet(nn.Module):
    """Images (N, 3, 120, 160) to a box (N, 300, 4) and logits of classes and nothing (N, 300, 4) for each cell."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _conv(3, width, 2), _conv(width, 2 * width), _conv(2 * width, 3 * width, 2), _conv(3 * width, 3 * width),
            _conv(3 * width, 4 * width, 2), _conv(4 * width, 4 * width), _conv(4 * width, 4 * width),
            _conv(4 * width, 4 * width),
        )  # fmt: skip
        self.boxes = nn.Conv2d(4 * width, 4, 1)
        self.scores = nn.Conv2d(4 * width, 4, 1)

    def forward(self, images: Tensor) -> Targets:
        x = self.body(images)
        rows, columns = x.shape[2:]
        y, left = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        corners = torch.stack([left, y], -1).reshape(1, -1, 2).to(x) * CELL
        told = self.boxes(x).flatten(2).transpose(1, 2)
        # A middle may lie a little outside of its cell, so that one on an edge can be told from both sides.
        centres = corners + (2 * torch.sigmoid(told[..., :2]) - 0.5) * CELL
        halves = torch.exp(told[..., 2:].clamp(-3, 3)) * SCALE / 2
        boxes = torch.cat([centres - halves, centres + halves], -1)
        return {"boxes": boxes, "scores": self.scores(x).flatten(2).transpose(1, 2)}


def read(path: str) -> tuple[dict[str, tuple[Tensor, Targets]], list[str]]:
    """Return images and boxes of each split, and the names of the classes."""
    with np.load(path) as file:
        bytes_, offsets, boxes, first, split, names = (
            file[name] for name in ("jpeg", "offsets", "boxes", "first", "split", "classes")
        )
    most = int(np.diff(first).max())
    images = torch.zeros(len(split), 3, HIGH, WIDE, dtype=torch.uint8)
    places, labels = torch.zeros(len(split), most, 4), torch.full((len(split), most), NOTHING)
    for number in range(len(split)):
        picture = Image.open(io.BytesIO(bytes_[offsets[number] : offsets[number + 1]].tobytes())).convert("RGB")
        small = np.asarray(picture.resize((WIDE, HIGH), Image.Resampling.BOX))
        images[number] = torch.from_numpy(small.copy()).permute(2, 0, 1)
        mine = torch.from_numpy(boxes[first[number] : first[number + 1]])
        places[number, : len(mine)], labels[number, : len(mine)] = mine[:, 1:] / SHRINK, mine[:, 0].long()
    chosen = {part: torch.from_numpy(split == part) for part in ("train", "val", "test")}
    return {
        part: (images[which], {"boxes": places[which], "labels": labels[which]}) for part, which in chosen.items()
    }, [str(name) for name in names]


def mirrored(images: Tensor, targets: Targets) -> tuple[Tensor, Targets]:
    """Return images and boxes as they are, and mirrored either way and both."""
    pictures, places = [images], [targets["boxes"]]
    for side, size in ((3, WIDE), (2, HIGH)):
        for picture, boxes in list(zip(pictures, places, strict=True)):
            low, high = (0, 2) if side == 3 else (1, 3)
            turned = boxes.clone()
            turned[..., low], turned[..., high] = size - boxes[..., high], size - boxes[..., low]
            pictures.append(picture.flip(side))
            places.append(turned)
    return torch.cat(pictures), {"boxes": torch.cat(places), "labels": targets["labels"].repeat(len(places), 1)}


def subject(paths: Paths, folder: Path) -> wb.Subject:
    """Return the trained net."""
    parts, names = read(paths["blood-cells"])
    task = wb.Task(
        train=mirrored(*parts["train"]), validation=parts["val"], test=parts["test"], metric="map", classes=names,
        output=("boxes", "scores"), mean=MEAN, std=STD, name="blood cells",
    )  # fmt: skip
    training = (wb.FineTune(epochs=8, learning_rate=0.006, batch_size=32, schedule="one-cycle"),)
    return trained("blood-cells", seeded(CellNet), task, training, folder)


def judge(outputs: Tree, targets: Tree) -> float:
    """Return mAP at an overlap of 0.5 as pycocotools has it, with precision read at 10,001 recalls instead of 101."""
    if importlib.util.find_spec("pycocotools") is None:
        return float(wb.Task(validation=(torch.zeros(2), torch.zeros(2)), metric="map").metric.judge(outputs, targets))
    import contextlib

    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        truth, found = COCO(), coco_detections(outputs)
        truth.dataset = coco_truth(targets)
        truth.createIndex()
        scoring = COCOeval(truth, truth.loadRes(found), "bbox")
        scoring.params.iouThrs, scoring.params.recThrs = np.array([0.5]), np.linspace(0, 1, 10001)
        scoring.evaluate()
        scoring.accumulate()
    precision = scoring.eval["precision"][0, :, :, 0, -1]
    return float(precision.mean())


def coco_truth(targets: Tree) -> dict[str, Any]:
    """Return boxes as the COCO tools take them."""
    rows = []
    for image, (boxes, labels) in enumerate(zip(targets["boxes"], targets["labels"], strict=True)):
        for box, label in zip(boxes[labels >= 0].tolist(), labels[labels >= 0].tolist(), strict=True):
            rows.append({
                "id": len(rows) + 1, "image_id": image, "category_id": label, "iscrowd": 0, "bbox": sides(box),
                "area": (box[2] - box[0]) * (box[3] - box[1]),
            })  # fmt: skip
    kinds = sorted({row["category_id"] for row in rows})
    return {
        "images": [{"id": image} for image in range(len(targets["labels"]))], "annotations": rows,
        "categories": [{"id": kind} for kind in kinds],
    }  # fmt: skip


def coco_detections(outputs: Tree) -> list[dict[str, Any]]:
    """Return detections as the COCO tools take them."""
    return [
        {"image_id": image, "category_id": label, "bbox": sides(box), "score": sure}
        for image, (boxes, scores) in enumerate(zip(outputs["boxes"].float(), outputs["scores"].float(), strict=True))
        for box, label, sure in zip(*(part.tolist() for part in detected(boxes, scores)), strict=True)
    ]


def sides(box: list[float]) -> list[float]:
    """Return left, top, width, height."""
    return [box[0], box[1], box[2] - box[0], box[3] - box[1]]


JOB = Job(
    "blood-cells",
    ("blood-cells",),
    subject,
    {
        FLOAT: (),
        "int8": (wb.Quantize(activations=8),),
        "4 bits": (wb.Quantize(bits=4, rounding="second-order"),),
        "half of the channels": (
            wb.PruneChannels(amount=0.5, importance="taylor"),
            wb.FineTune(epochs=4, learning_rate=0.003, batch_size=32),
        ),
        "half of the weights": (
            wb.Prune(amount=0.5),
            wb.FineTune(epochs=2, learning_rate=0.002, batch_size=32),
        ),
    },
    judge,
    # There a detection takes the free object it overlaps most, here the object it overlaps most, if that is free.
    tolerance=0.002,
)
