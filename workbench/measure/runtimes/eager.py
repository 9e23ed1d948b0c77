"""PyTorch as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from workbench.jobs.turn import TURN
from workbench.model.twin import twin
from workbench.steps import State
from workbench.task.task import logits


def prepare(
    state: State, example: tuple[Tensor, ...], overlay: Mapping[str, Tensor] | None = None
) -> Callable[[tuple[Tensor, ...]], Tensor]:
    """Return a function from inputs to logits that runs the model in evaluation and inference mode.

    Args:
        state: Whose model is run; it is not touched, and may be run by others at the same time.
        example: Not needed here.
        overlay: Values that stand in for parameters, by name.
    """
    model = twin(state.model, overlay)

    def forward(inputs: tuple[Tensor, ...]) -> Tensor:
        with TURN, torch.inference_mode():
            return logits(model(*inputs))

    return forward
