"""What a runtime is: something that runs a state on this machine, and can be timed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from workbench.registry import Registry
from workbench.steps import State
from workbench.task.batch import Tree
from workbench.task.device import CPU, moved

Forward = Callable[[tuple[Tensor, ...]], Tree]


@dataclass(frozen=True)
class OnDevice:
    """A forward that takes inputs on a device other than the CPU."""

    forward: Forward
    device: torch.device

    def __call__(self, inputs: tuple[Tensor, ...]) -> Tree:
        """Return what is judged of the outputs."""
        return self.forward(inputs)


def place_of(forward: Forward) -> torch.device:
    """Return where a forward takes its inputs."""
    return forward.device if isinstance(forward, OnDevice) else CPU


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
            state: Left as it is; others may run it at the same time. On `device`, as the inputs are.
            example: Inputs of two samples.

        Raises:
            WorkbenchError: The runtime cannot run the model.
        """

    def device(self, state: State) -> torch.device:
        """Return where it runs a state: the CPU, unless it says otherwise. Times of two devices are never compared."""
        return CPU

    def prepare_there(self, state: State, example: tuple[Tensor, ...]) -> Forward:
        """Return `prepare` of a state and an example from any device; `place_of` says where it takes its inputs."""
        device = self.device(state)
        forward = self.prepare(state.on(device), moved(example, device))
        return forward if device == CPU else OnDevice(forward, device)


RUNTIMES: Registry[Runtime] = Registry("runtime", Runtime, instances=True)


def title_of(kind: str) -> str:
    """Return what people read for a runtime; its name, where it is not known here."""
    return RUNTIMES[kind].title if kind in RUNTIMES else kind
