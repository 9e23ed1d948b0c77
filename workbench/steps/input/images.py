"""Inputs that are images: which tasks have them, where a model reads them, and what their values go from and to."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from workbench.errors import WorkbenchError, first_line
from workbench.graph import entry_layer
from workbench.jobs.turn import TURN
from workbench.model.twin import twin
from workbench.steps.calibration import calibration_batches
from workbench.steps.context import Context
from workbench.steps.state import State
from workbench.task.batch import entering, how, leaves, outputs_of
from workbench.task.feeding import Span
from workbench.task.task import Task


def image_of(state: State, context: Context, title: str) -> Tensor:
    """Return what the model gets for two samples, [2, C, H, W].

    Raises:
        WorkbenchError: It gets something else than one image of one size.
    """
    inputs = entering(state.model, context.example())
    shapes = " and ".join(f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape[1:])}" for value in inputs)
    if len(inputs) != 1 or inputs[0].ndim != 4:
        raise WorkbenchError(f"{title}: it is for one image [channels, height, width] a sample, not for {shapes}")
    if how(inputs).free:
        raise WorkbenchError(f"{title}: it is for images of one size, and those of the task differ")
    if not inputs[0].is_floating_point() and inputs[0].dtype != torch.uint8:
        raise WorkbenchError(f"{title}: it is for images, and whole numbers {shapes} are none")
    return inputs[0]


def check_runs(state: State, changed: State, context: Context, title: str, what: str) -> None:
    """Raise an error if a model does not run on its new inputs, or gives outputs of another shape."""
    shapes = []
    for model in (state.model, changed.model):
        try:
            with TURN, torch.no_grad():
                outputs = leaves(outputs_of(twin(model), context.example()))
        except Exception as error:  # whatever the model's own code raises for a size that it was not made for
            raise WorkbenchError(f"{title}: the model does not run on {what} ({first_line(error)})") from error
        shapes.append([tuple(value.shape) for value in outputs])
    if shapes[0] != shapes[1]:
        raise WorkbenchError(f"{title}: on {what} the model gives {shapes[1]} in place of {shapes[0]}")


def first_layer(state: State, context: Context, title: str) -> tuple[str, nn.Conv2d]:
    """Return the name of the layer that alone reads the image, and the layer.

    Raises:
        WorkbenchError: There is none, so that nothing can be folded.
    """
    name = entry_layer(state.model, context.example())
    module = state.model.get_submodule(name) if name else None
    if not name or not isinstance(module, nn.Conv2d) or module.groups != 1:
        raise WorkbenchError(f"{title}: the image is not read by one convolution alone, into which it could be folded")
    return name, module


def span_of(state: State, context: Context) -> tuple[Span, Span]:
    """Return the lowest and highest values of each channel: of pixels, where the task says how they were normalised.

    Where it does not, those of the calibration data.

    Raises:
        WorkbenchError: It does not, and there is no calibration data.
    """
    task = context.subject.task
    if task.mean is not None and task.std is not None and _were_bytes(task, context):
        pairs = list(zip(task.mean, task.std, strict=True))
        span = tuple((0 - mean) / std for mean, std in pairs), tuple((1 - mean) / std for mean, std in pairs)
        for feed in state.feeds:
            span = feed.span(*span)
        return span
    lows, highs = list[Tensor](), list[Tensor]()
    for inputs, _ in calibration_batches(task, context.progress, "looking at inputs"):
        (image,) = entering(state.model, inputs)
        lows.append(image.float().amin((0, 2, 3)))
        highs.append(image.float().amax((0, 2, 3)))
    low, high = torch.stack(lows).amin(0), torch.stack(highs).amax(0)
    high = torch.where(high > low, high, low + 1)
    return tuple(low.tolist()), tuple(high.tolist())


def _were_bytes(task: Task, context: Context) -> bool:
    """Return whether a task's images are bytes that its mean and std normalised: data that is floats is left as it is.

    Raises:
        WorkbenchError: There are not as many of both as channels.
    """
    (image,) = context.example()
    mean, std = (torch.tensor(values, device=image.device) for values in (task.mean, task.std))
    for inputs, _ in (
        calibration_batches(task, context.progress, "looking at inputs") if task.has("calibration") else ()
    ):
        (image,) = inputs
        break
    if not len(mean) == len(std) == image.shape[1]:
        raise WorkbenchError(
            f"the task has {len(mean)} values of mean and {len(std)} of std for images of {image.shape[1]} channels"
        )
    levels = (image.float() * std.view(-1, 1, 1) + mean.view(-1, 1, 1)) * 255
    whole = bool(((levels - levels.round()).abs() < 0.01).all())
    return whole and float(levels.round().min()) >= 0 and float(levels.round().max()) <= 255


def lacks_span(task: Task) -> str:
    """Return why nothing says what the values of a task's images go from and to, "" where something does."""
    known = task.mean is not None or task.has("calibration")
    return "" if known else "it needs mean and std of wb.Task, or train or calibration data to see the range of pixels"
