"""What a runtime is: something that runs a state on this machine, and can be timed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from workbench.registry import Registry
from workbench.steps import State
from workbench.task.batch import Tree, entering
from workbench.task.device import CPU, moved

Forward = Callable[[tuple[Tensor, ...]], Tree]


class Runtime(ABC):
    """Prepares models to be run.

    Class attributes:
        kind: Its name in settings and measurements.
        title: What people read.
        position: Where it stands among the others.
        usual: Whether latency is measured on it where nobody named runtimes.
    """

    kind: ClassVar[str]
    title: ClassVar[str]
    position: ClassVar[int] = 100
    usual: ClassVar[bool] = True

    @abstractmethod
    def prepare(self, state: State, example: tuple[Tensor, ...]) -> Forward:
        """Return a function from inputs to what is judged of the outputs. Whoever runs it holds `TURN`.

        Args:
            state: Left as it is; others may run it at the same time. On `device`, as the inputs are.
            example: What the model gets for two samples.

        Raises:
            WorkbenchError: The runtime cannot run the model.
        """

    def device(self, state: State) -> torch.device:
        """Return where it runs a state: the CPU, unless it says otherwise. Times of two devices are never compared."""
        return CPU


@dataclass(frozen=True)
class Prepared:
    """A prepared state that gets a task's inputs in a form of its own, or elsewhere than on the CPU."""

    forward: Forward
    model: nn.Module
    device: torch.device

    def __call__(self, inputs: tuple[Tensor, ...]) -> Tree:
        """Return what is judged of the outputs."""
        return self.forward(self.entering(inputs))

    def entering(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return what the state gets for a task's inputs; given to it, it is taken as it is."""
        there: tuple[Tensor, ...] = moved(entering(self.model, inputs), self.device)
        return there


RUNTIMES: Registry[Runtime] = Registry("runtime", Runtime, instances=True)


def prepared(kind: str, state: State, example: tuple[Tensor, ...]) -> Forward:
    """Return a function from a task's inputs to what is judged of the outputs of a state on a runtime.

    Args:
        kind: The runtime's.
        state: What is run, from any device.
        example: Of the task, two samples, from any device.

    Raises:
        WorkbenchError: The runtime cannot run the model.
    """
    device = RUNTIMES[kind].device(state)
    forward = RUNTIMES[kind].prepare(state.on(device), moved(entering(state.model, example), device))
    return Prepared(forward, state.model, device) if state.feeds or device != CPU else forward


def place_of(forward: Forward) -> torch.device:
    """Return where a prepared state takes its inputs."""
    return forward.device if isinstance(forward, Prepared) else CPU


def inputs_for(forward: Forward, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Return what a prepared state gets for a task's inputs: whoever runs it elsewhere has them in that form."""
    return forward.entering(inputs) if isinstance(forward, Prepared) else moved(inputs, CPU)


def title_of(kind: str) -> str:
    """Return what people read for a runtime; its name, where it is not known here."""
    return RUNTIMES[kind].title if kind in RUNTIMES else kind
