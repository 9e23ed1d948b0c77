"""Coupled channel groups: what must be removed together so that a model stays whole."""

from __future__ import annotations

from torch import Tensor, nn

from workbench.graph.cut import protect_failing
from workbench.graph.group import Group, Slot, Unit
from workbench.graph.propose import propose_groups
from workbench.graph.trace import trace

__all__ = ["Group", "Slot", "Unit", "coupled_groups"]


def coupled_groups(model: nn.Module, example: tuple[Tensor, ...]) -> tuple[Group, ...]:
    """Return all channel groups of a model, those that cannot be cut included, in the order of their layers.

    Every group that is not protected was cut on a copy, and run.

    Args:
        model: Any module that can be traced; it is not changed.
        example: The positional inputs, batch first.

    Raises:
        WorkbenchError: The model cannot be traced.
    """
    return protect_failing(model, propose_groups(model, trace(model, example)), example)
