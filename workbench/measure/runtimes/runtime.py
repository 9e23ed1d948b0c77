"""What a runtime is: something that runs a state on this machine, and can be timed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

from torch import Tensor

from workbench.registry import Registry
from workbench.steps import State
from workbench.task.batch import Tree

Forward = Callable[[tuple[Tensor, ...]], Tree]


class Runtime(ABC):
    """Prepares models to be run.

    Class attributes:
        kind: Its name in settings and measurements.
        title: What people read.
        position: Where it stands among the others.
    """

    kind: ClassVar[str]
    title: ClassVar[str]
    position: ClassVar[int] = 100

    @abstractmethod
    def prepare(self, state: State, example: tuple[Tensor, ...]) -> Forward:
        """Return a function from inputs to what is judged of the outputs. Whoever runs it holds `TURN`.

        Args:
            state: Left as it is; others may run it at the same time.
            example: Inputs of two samples.

        Raises:
            WorkbenchError: The runtime cannot run the model.
        """


RUNTIMES: Registry[Runtime] = Registry("runtime", Runtime, instances=True)


def title_of(kind: str) -> str:
    """Return what people read for a runtime; its name, where it is not known here."""
    return RUNTIMES[kind].title if kind in RUNTIMES else kind
