"""Rounding one layer after the other so that its outputs on calibration data, not its weights, change least.

With the second moments H of the inputs x, the mean squared change of a layer's outputs is trace(D H D^T) for a
change D of its weights: all that a rule needs to know of the data. Each layer is looked at with the inputs that
it gets once the layers before it were rounded.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from workbench.checkpoint.coding import Coding
from workbench.errors import WorkbenchError
from workbench.jobs.progress import Progress
from workbench.steps.calibration import CONVOLUTIONS
from workbench.steps.in_turn import InTurn
from workbench.steps.quantize.rounding.rounding import Rounding
from workbench.task.task import Task

Check = Callable[[], None]
NUMBERS = 1 << 22  # weights that are rounded at a time, as far as whole rows allow


@dataclass(frozen=True, eq=False)
class Grid:
    """A coding as the rows of a weight matrix see it.

    Attributes:
        coding: Of a weight of this shape.
        shape: [outputs, inputs, ...].
    """

    coding: Coding
    shape: torch.Size

    def round(self, rows: Tensor) -> Tensor:
        """Return the nearest values, float64 [outputs, d]."""
        return self.coding.round(rows.float().view(self.shape)).flatten(1).double()

    def column(self, values: Tensor, number: int) -> Tensor:
        """Return the nearest values of one column, float64 [outputs]."""
        one = self.coding.select(1, [number // self.shape[2:].numel()])
        return one.round(values.float().view(-1, 1, *[1] * (len(self.shape) - 2))).flatten().double()


class Layerwise(Rounding):
    """A rule for one weight matrix at a time. What is no convolution or linear layer is rounded to the nearest."""

    needs_data = True
    sees = "only linear layers and convolutions that are not transposed are rounded by what enters them"

    def looks_at(self, model: nn.Module, parameter: str) -> bool:
        layer, _, attribute = parameter.rpartition(".")
        return attribute == "weight" and isinstance(model.get_submodule(layer), (nn.Linear, *CONVOLUTIONS))

    def prepared(self, second: Tensor) -> Any:
        """Return what all rows need to know of the second moments, float64 [d, d]; these by default."""
        return second

    @abstractmethod
    def rows(self, weight: Tensor, prepared: Any, grid: Grid, keep: Tensor, check: Check) -> Tensor:
        """Return rounded rows.

        Args:
            weight: float64 [outputs, d].
            prepared: Of second moments, the mean of x x^T of what they are multiplied with.
            grid: Where they go.
            keep: bool [outputs, d], false where a weight has to stay zero.
            check: To be called now and then; raises an error to stop the work.
        """

    def weights(
        self,
        model: nn.Module,
        codings: Mapping[str, Coding],
        masks: Mapping[str, Tensor],
        task: Task,
        progress: Progress,
    ) -> dict[str, Tensor]:
        if not task.has("calibration"):
            raise WorkbenchError(f"{self.title}: it needs train or calibration data; the task has neither")
        rounded: dict[str, Tensor] = {}
        inputs = InTurn(model, task, list(codings))
        for number, (name, coding) in enumerate(codings.items()):
            share = progress.part(number / len(codings), (number + 1) / len(codings), f"rounding {name}")
            share.update(0.0)
            weight = model.get_parameter(name).detach()
            layer = name.rpartition(".")[0]
            moments = None
            if self.looks_at(model, name):
                moments = inputs.moments(layer, rounded, share)
            if moments is None:
                rounded[name] = coding.round(weight).to(weight.dtype)
            else:
                keep = masks.get(name, torch.ones_like(weight, dtype=torch.bool))
                rounded[name] = self._apart(weight, moments.second, coding, keep, share.check)
            inputs.done(name)
        return rounded

    def _apart(self, weight: Tensor, seconds: Tensor, coding: Coding, keep: Tensor, check: Check) -> Tensor:
        """Return the rounded weight of a layer, each of its groups by itself."""
        size, rounded = len(weight) // len(seconds), torch.empty_like(weight)
        # Rows know nothing of each other: so many at a time that their doubles are no second model.
        most = max(NUMBERS // weight[0].numel(), 1)
        for number, second in enumerate(seconds):
            prepared = self.prepared(second)
            for start in range(number * size, (number + 1) * size, most):
                own = slice(start, min(start + most, (number + 1) * size))
                grid = Grid(coding.select(0, range(own.start, own.stop)), weight[own].shape)
                rows = self.rows(weight[own].double().flatten(1), prepared, grid, keep[own].flatten(1), check)
                rounded[own] = rows.view_as(rounded[own]).to(weight.dtype)
        return rounded
