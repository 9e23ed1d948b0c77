"""Each weight becomes the value that is nearest to it."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from workbench.checkpoint.coding import Coding
from workbench.jobs.progress import Progress
from workbench.registry import register
from workbench.steps.quantize.rounding.rounding import Rounding
from workbench.task.task import Task


@register
class Nearest(Rounding):
    kind = "nearest"
    position = 1
    title = "To the nearest value"

    def weights(
        self,
        model: nn.Module,
        codings: Mapping[str, Coding],
        masks: Mapping[str, Tensor],
        task: Task,
        progress: Progress,
    ) -> dict[str, Tensor]:
        rounded: dict[str, Tensor] = {}
        for name, coding in progress.over(codings.items(), len(codings), "rounding"):
            weight = model.get_parameter(name).detach()
            rounded[name] = coding.round(weight).to(weight.dtype)
        return rounded
