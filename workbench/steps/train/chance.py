"""Chance of a training's own: dropout and the like draw from one generator, whatever other threads draw.

Torch keeps one generator for all threads. Setting it for the length of a batch is not enough: whoever draws meanwhile,
such as a cell that runs beside the training, draws from it too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from workbench.task.device import CPU


@cache
def _draws(operator: Any) -> bool:
    return any(argument.name == "generator" for argument in operator._schema.arguments)


class _Drawing(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves its set-up unannotated
    """Gives operators that draw without a generator one, and notes that something was drawn."""

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # as above
        self._generator = generator
        self.drawn = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if _draws(func) and kwargs.get("generator") is None:
            self.drawn = True
            kwargs["generator"] = self._generator
        return func(*args, **kwargs)


class OwnChance:
    """A generator from which everything that is computed within `drawing` draws.

    Looking at every operator costs time, so it ends after some batches in which nothing was drawn.

    Args:
        seed: Of the generator.
        device: Where what is computed is; each kind of device draws in its own way.
    """

    PATIENCE = 8

    def __init__(self, seed: int, device: torch.device = CPU) -> None:
        self._generator = torch.Generator(device).manual_seed(seed)
        self._quiet = 0

    @property
    def over(self) -> bool:
        """Whether so many batches drew nothing that operators are no longer looked at."""
        return self._quiet >= self.PATIENCE

    @contextmanager
    def drawing(self) -> Iterator[None]:
        """Let operators of this thread draw from the generator."""
        if self.over:
            yield
            return
        with _Drawing(self._generator) as mode:
            yield
        self._quiet = 0 if mode.drawn else self._quiet + 1

    def facts(self) -> dict[str, Any]:
        """Return where it is, as a tensor and a number."""
        return {"generator": self._generator.get_state(), "quiet": self._quiet}

    def restore(self, facts: dict[str, Any]) -> None:
        """Go on where `facts` were taken."""
        self._generator.set_state(facts["generator"])
        self._quiet = int(facts["quiet"])
