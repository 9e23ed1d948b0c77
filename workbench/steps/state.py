"""What a recipe has made so far, and what a step may look at while it works."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import nn

from workbench.checkpoint.coding import Coding
from workbench.model.subject import Subject, raw
from workbench.steps.context import Context

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

    @classmethod
    def of(cls, subject: Subject) -> State:
        """Return the state of a subject that nothing was done to."""
        return cls(subject.model, subject.codings)

    def digest(self) -> str:
        """Return hex digits that tell the state from all others: its tensors and how they are stored."""
        found = hashlib.sha256(f"{sorted(self.pruned)}".encode())
        for name, value in self.model.state_dict().items():
            found.update(name.encode() + raw(value))
        for name, coding in self.codings.items():
            found.update(f"{name} {coding.kind} {coding.facts()} {coding.entropy}".encode())
        return found.hexdigest()
