"""Gradients of the task's loss on the calibration split."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from workbench.errors import WorkbenchError, first_line
from workbench.jobs.turn import TURN
from workbench.model.twin import twin
from workbench.steps.calibration import calibration_batches
from workbench.steps.context import Context
from workbench.task.batch import outputs_of, shape_words


def loss_gradients(
    model: nn.Module, parameters: Sequence[str], context: Context, batch: int
) -> Iterator[dict[str, Tensor]]:
    """Yield, batch by batch, the gradient of the mean loss by each named parameter, in the parameter's shape.

    The model runs in evaluation mode, as a twin whose parameters are its own; nothing is left in anybody's `grad`.
    A parameter that the loss does not depend on has a gradient of zeros.

    Args:
        model: Any module that takes the task's inputs.
        parameters: Names.
        context: Gives data, loss and progress.
        batch: Samples for one gradient.

    Raises:
        WorkbenchError: There is no calibration data, or the loss has no finite gradient.
        Cancelled: It was told to stop.
    """
    task = context.subject.task
    loss = task.training_loss
    own = twin(model, {name: model.get_parameter(name).detach() for name in parameters})
    wanted = [own.get_parameter(name).requires_grad_(True) for name in parameters]
    for inputs, targets in calibration_batches(task, context.progress, "gradients of the loss", batch):
        with TURN, torch.enable_grad():
            outputs = outputs_of(own, inputs)
            try:
                gradients = torch.autograd.grad(loss(outputs, targets), wanted, allow_unused=True)
            except (RuntimeError, ValueError, TypeError) as error:
                raise WorkbenchError(
                    f"the task's loss fails on outputs of shape {shape_words(outputs)}: {first_line(error)}"
                ) from error
        if not all(value is None or bool(value.isfinite().all()) for value in gradients):
            raise WorkbenchError("the gradient of the loss is NaN or infinite on the calibration data")
        yield {
            name: torch.zeros_like(parameter) if value is None else value
            for name, parameter, value in zip(parameters, wanted, gradients, strict=True)
        }
