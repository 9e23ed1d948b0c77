"""PyTorch as it is."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from workbench.modes import evaluating
from workbench.steps import State
from workbench.task import logits


def prepare(state: State, example: tuple[Tensor, ...]) -> Callable[[tuple[Tensor, ...]], Tensor]:
    """Return a function from inputs to logits that runs the model in evaluation and inference mode."""
    model = state.model

    def forward(inputs: tuple[Tensor, ...]) -> Tensor:
        with evaluating(model), torch.inference_mode():
            return logits(model(*inputs))

    return forward
