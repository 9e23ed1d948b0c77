"""Coupled channel groups: what must be removed together so that a model stays whole."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn

from workbench.graph.cutting import check_same, protect_failing
from workbench.graph.group import Group, Slot, Unit
from workbench.graph.heads import open_heads
from workbench.graph.propose import propose_groups
from workbench.graph.remake import as_module
from workbench.graph.tracing import trace
from workbench.graph.walk import walked

__all__ = ["Group", "Slot", "Unit", "coupled_groups", "head_groups"]

HEADS = "they are attention heads, which prune_heads takes"


def coupled_groups(model: nn.Module, example: tuple[Tensor, ...]) -> tuple[Group, ...]:
    """Return all channel groups of a model, those that cannot be cut included, in the order of their layers.

    Every group that is not protected was cut on a copy, and run. Attention heads are protected; `head_groups` has them.

    Args:
        model: Any module that can be traced; it is not changed.
        example: The positional inputs, batch first.

    Raises:
        WorkbenchError: The model cannot be traced.
    """
    proposed = propose_groups(model, trace(model, example))
    groups = (replace(g, protected=HEADS) if g.heads and g.protected is None else g for g in proposed)
    return protect_failing(model, tuple(groups), example)


def head_groups(model: nn.Module, example: tuple[Tensor, ...]) -> tuple[nn.Module, tuple[Group, ...]]:
    """Return a model that computes the same and can lose attention heads, and the groups whose units its heads are.

    Groups that look like heads and cannot be cut are among them; the others were cut on a copy, and run. The number of
    heads is written into most models' code, so the one that comes back is made of the traced graph, with the same
    parameters under the same names, and layers as modules at their old places.

    Args:
        model: Any module that can be traced; it is not changed, and shares its parameters with what comes back.
        example: The positional inputs, batch first.

    Raises:
        WorkbenchError: The model cannot be traced.
    """
    program = trace(model, example)
    # Attention averages its weights over heads, which would tie them together, even for nobody.
    program.graph.eliminate_dead_code()
    open_heads(program, walked(program, model))
    opened = as_module(program, model)
    check_same(model, opened, example)
    groups = propose_groups(opened, trace(opened, example))
    wanted = tuple(group for group in groups if group.heads or group.split)
    return opened, protect_failing(opened, wanted, example)
