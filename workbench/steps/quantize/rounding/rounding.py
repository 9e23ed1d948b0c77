"""What a rounding rule is: which of a grid's values each weight becomes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from workbench.checkpoint.coding import Coding
from workbench.jobs.progress import Progress
from workbench.registry import Registry
from workbench.task.task import Task


class Rounding(ABC):
    """Puts weights on the grids of their codings.

    Class attributes:
        kind: Its name in a step.
        title: What people read.
        position: Where it stands among the others.
        needs_data: Whether it looks at the calibration split.
        uniform: Whether it needs an integer grid.
        sees: Why it does not look at some weights, as people read it.
    """

    kind: ClassVar[str]
    title: ClassVar[str]
    position: ClassVar[int] = 100
    needs_data: ClassVar[bool] = False
    uniform: ClassVar[bool] = False
    sees: ClassVar[str] = ""

    def looks_at(self, model: nn.Module, parameter: str) -> bool:
        """Return whether the rule does for a weight what it says; where not, the weight goes to its nearest values."""
        return True

    @abstractmethod
    def weights(
        self,
        model: nn.Module,
        codings: Mapping[str, Coding],
        masks: Mapping[str, Tensor],
        task: Task,
        progress: Progress,
    ) -> dict[str, Tensor]:
        """Return every coded parameter's new values, of its shape and type.

        Args:
            model: Left as it is.
            codings: By parameter name; tied parameters once.
            masks: Of pruned parameters: false where a weight has to stay zero.
            task: Gives calibration data.
            progress: Where progress is told, and cancelling asked.

        Raises:
            WorkbenchError: There is no calibration data, or the layer's inputs do not allow it.
        """


ROUNDINGS: Registry[Rounding] = Registry("rounding", Rounding, instances=True)
# What puts weights on any list of values, not on integers only.
GENERAL = ROUNDINGS.only(lambda rule: not rule.uniform)
