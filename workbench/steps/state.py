"""What a recipe has made so far, and what a step may look at while it works."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import nn

from workbench.coding import Coding
from workbench.context import Context

__all__ = ["Context", "State"]


@dataclass(frozen=True)
class State:
    """A built model and how its tensors are to be stored. Nobody edits `model` in place once it is here.

    Attributes:
        model: The module, with the compressed values in ordinary dense tensors.
        codings: How a parameter is stored, by name; a parameter that is absent is stored as it is.
        pruned: Parameters whose zeros are a mask: training keeps them zero.
        notes: What the user has to know, such as groups that could not be cut.
    """

    model: nn.Module
    codings: Mapping[str, Coding] = field(default_factory=dict)
    pruned: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()
