"""Changed copies of training images, so that a net sees no image twice: mirrored and shifted ones.

The usual pair for small images since He et al.: "Deep Residual Learning for Image Recognition", 2016, section 4.2; here
edges are reflected instead of filled with black, so that it does not matter how images were normalised.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.task.batch import Tree, leaves, like

SHIFT = 8  # an image moves by up to an eighth of its side: 4 pixels of 32


def flipped(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return images [n, C, H, W] of which about half are mirrored left to right."""
    chosen = torch.rand(len(images), generator=generator) < 0.5
    return torch.where(chosen.to(images.device)[:, None, None, None], images.flip(3), images)


def shifted(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return images [n, C, H, W], each moved by up to an eighth of its sides; the edges are reflected."""
    count, _, height, width = images.shape
    rows, columns = (
        torch.randint(2 * (side // SHIFT) + 1, (count, 1), generator=generator) + torch.arange(side)
        for side in (height, width)
    )
    wide = F.pad(images, (width // SHIFT, width // SHIFT, height // SHIFT, height // SHIFT), mode="reflect")
    samples = torch.arange(count)[:, None, None]
    return wide.permute(0, 2, 3, 1)[samples, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2).contiguous()


AUGMENTATIONS: dict[str, Callable[[Tensor, torch.Generator], Tensor]] = {
    "none": lambda images, _: images,
    "shift": shifted,
    "flip": flipped,
    "flip and shift": lambda images, generator: shifted(flipped(images, generator), generator),
}


def augmented(
    inputs: tuple[Tensor, ...], kind: str, generator: torch.Generator, targets: Tree = ()
) -> tuple[Tensor, ...]:
    """Return a batch in which images are changed by chance, as `kind` of `AUGMENTATIONS` says.

    Args:
        inputs: Of which those with floating numbers in four dimensions are images.
        kind: "none" leaves all as it is.
        generator: Of all chance.
        targets: What is right of them; they stay as they are.

    Raises:
        WorkbenchError: There is not exactly one input that holds images, or targets say where in an image something
            is, which is wrong of an image that has moved.
    """
    if kind == "none":
        return inputs
    if any(value.ndim > 2 for value in leaves(targets)):
        raise WorkbenchError(
            f"augmentation {kind!r} moves images and not their targets, which are boxes, masks or other places here; "
            "give training data that holds the moved images with their targets, and augmentation 'none'"
        )
    images = [place for place, value in enumerate(inputs) if value.ndim == 4 and value.is_floating_point()]
    if len(images) != 1:
        shapes = ", ".join(str(tuple(value.shape)) for value in inputs)
        raise WorkbenchError(f"augmentation {kind!r} is for one input of images [n, C, H, W]; given {shapes}")
    return like(
        inputs,
        (AUGMENTATIONS[kind](value, generator) if place in images else value for place, value in enumerate(inputs)),
    )
