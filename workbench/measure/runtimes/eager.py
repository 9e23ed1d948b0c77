"""PyTorch as it is."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from workbench.jobs.turn import TURN
from workbench.measure.runtimes.runtime import Forward, Runtime
from workbench.model.twin import twin
from workbench.registry import register
from workbench.steps import State
from workbench.task.batch import Tree, outputs_of
from workbench.task.device import device_of


def prepare(state: State, example: tuple[Tensor, ...], overlay: Mapping[str, Tensor] | None = None) -> Forward:
    """Return a function from inputs to logits that runs the model in evaluation and inference mode.

    Args:
        state: Whose model is run; it is not touched, and may be run by others at the same time.
        example: Not needed here.
        overlay: Values that stand in for parameters, by name.
    """
    model = twin(state.model, overlay)

    def forward(inputs: tuple[Tensor, ...]) -> Tree:
        with TURN, torch.inference_mode():
            return outputs_of(model, inputs)

    return forward


@register
class Eager(Runtime):
    """PyTorch's own kernels, one operator after the other."""

    kind = "eager"
    title = "PyTorch (eager)"
    position = 1

    def device(self, state: State) -> torch.device:
        return device_of(state.model)

    def prepare(self, state: State, example: tuple[Tensor, ...]) -> Forward:
        return prepare(state, example)
