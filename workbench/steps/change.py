"""New values of a parameter, and how they are stored."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from workbench.checkpoint.coding import Coding


@dataclass(frozen=True)
class Change:
    """New values of one parameter.

    Attributes:
        weight: Same shape and dtype as before.
        coding: How it is stored from now on; None leaves what was.
        pruned: Whether its zeros are a mask.
    """

    weight: Tensor
    coding: Coding | None = None
    pruned: bool = False
