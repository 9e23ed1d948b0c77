"""What a source of models is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import nn

from workbench.checkpoint.coding import Coding


@dataclass(frozen=True)
class Loaded:
    """A model as a source gives it.

    Attributes:
        model: With its weights.
        name: What it is to be called.
        codings: How its parameters are stored, where they came packed.
        task_source: An embedded subject whose task it is for, "" if none.
    """

    model: nn.Module
    name: str
    codings: Mapping[str, Coding] = field(default_factory=dict)
    task_source: str = ""


@dataclass(frozen=True)
class Source:
    """A way to get a model from a text.

    Attributes:
        example: How such a text looks.
        takes: Whether a text is one for this source.
        get: `(text, pretrained) -> Loaded`. `pretrained` is the user's wish to download weights.
    """

    example: str
    takes: Callable[[str], bool]
    get: Callable[[str, bool], Loaded]
