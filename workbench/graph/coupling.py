"""Coupled channel groups: what must be removed together so that a model stays whole."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn

from workbench.errors import WorkbenchError
from workbench.graph.cutting import FAILING, check_same, protect_failing
from workbench.graph.group import Group, Slot, Unit
from workbench.graph.heads import open_heads
from workbench.graph.propose import propose, propose_groups
from workbench.graph.remake import as_module
from workbench.graph.tracing import trace
from workbench.graph.walk import walked
from workbench.graph.widths import open_widths

__all__ = ["Group", "Slot", "Unit", "channel_groups", "coupled_groups", "head_groups"]

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
    return _tried(model, propose_groups(model, trace(model, example)), example)


def channel_groups(model: nn.Module, example: tuple[Tensor, ...]) -> tuple[nn.Module, tuple[Group, ...]]:
    """Return a model that computes the same and loses channels where it can, and its groups as in `coupled_groups`.

    It is the model itself, unless widths that are written into its code keep channels from being cut. Then it is one
    made of the traced graph, as in `head_groups`, in which these widths follow from the tensors.

    Args:
        model: Any module that can be traced; it is not changed, and shares its parameters with what comes back.
        example: The positional inputs, batch first.

    Raises:
        WorkbenchError: The model cannot be traced.
    """
    program = trace(model, example)
    walk = walked(program, model)
    groups = _tried(model, propose(walk), example)
    if not _kept_by_code(groups) or not open_widths(program, walk):
        return model, groups
    try:
        opened = as_module(program, model)
        check_same(model, opened, example)
        others = coupled_groups(opened, example)
    except WorkbenchError:  # the graph runs nowhere else; what the model itself can lose is still right
        return model, groups
    return (opened, others) if _free(others) > _free(groups) else (model, groups)


def _tried(model: nn.Module, proposed: tuple[Group, ...], example: tuple[Tensor, ...]) -> tuple[Group, ...]:
    groups = (replace(g, protected=HEADS) if g.heads and g.protected is None else g for g in proposed)
    return protect_failing(model, tuple(groups), example)


def _kept_by_code(groups: tuple[Group, ...]) -> bool:
    return any(group.protected is not None and group.protected.startswith(FAILING) for group in groups)


def _free(groups: tuple[Group, ...]) -> int:
    return sum(len(group.units) for group in groups if group.protected is None)


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
    walk = walked(program, model)
    open_widths(program, walk)
    open_heads(program, walk)
    opened = as_module(program, model)
    check_same(model, opened, example)
    groups = propose_groups(opened, trace(opened, example))
    wanted = tuple(group for group in groups if group.heads or group.split)
    return opened, protect_failing(opened, wanted, example)
