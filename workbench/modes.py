"""Leave a model as it was found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluating(model: nn.Module) -> Iterator[nn.Module]:
    """Give the model in evaluation mode, and put every submodule's mode back afterwards."""
    before = {module: module.training for module in model.modules()}
    # Set by hand, because a program that was read back from text refuses .eval().
    try:
        for module in before:
            module.training = False
        yield model
    finally:
        for module, training in before.items():
            module.training = training
