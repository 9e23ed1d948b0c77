"""What a runtime is: something that runs a state on this machine, and can be timed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

from torch import Tensor, nn

from workbench.registry import Registry
from workbench.steps import State
from workbench.task.batch import Tree, entering

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
            example: What the model gets for two samples.

        Raises:
            WorkbenchError: The runtime cannot run the model.
        """


class Feeding:
    """A prepared state that gets a task's inputs in a form of its own."""

    def __init__(self, forward: Forward, model: nn.Module) -> None:
        self._forward, self._model = forward, model

    def __call__(self, inputs: tuple[Tensor, ...]) -> Tree:
        """Return what is judged of the outputs."""
        return self._forward(self.entering(inputs))

    def entering(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return what the state gets for a task's inputs; given to it, it is taken as it is."""
        return entering(self._model, inputs)


RUNTIMES: Registry[Runtime] = Registry("runtime", Runtime, instances=True)


def prepared(kind: str, state: State, example: tuple[Tensor, ...]) -> Forward:
    """Return a function from a task's inputs to what is judged of the outputs of a state on a runtime.

    Args:
        kind: The runtime's.
        state: What is run.
        example: Of the task, two samples.

    Raises:
        WorkbenchError: The runtime cannot run the model.
    """
    forward = RUNTIMES[kind].prepare(state, entering(state.model, example))
    return Feeding(forward, state.model) if state.feeds else forward


def inputs_for(forward: Forward, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Return what a prepared state gets for a task's inputs: whoever runs it elsewhere has them in that form."""
    return forward.entering(inputs) if isinstance(forward, Feeding) else inputs


def title_of(kind: str) -> str:
    """Return what people read for a runtime; its name, where it is not known here."""
    return RUNTIMES[kind].title if kind in RUNTIMES else kind
