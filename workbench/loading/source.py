"""What a source of models is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

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
        prepare: From a table and the columns that enter, to what `Task` takes; what is no table comes back as it is.
        classes: Names of the classes, where the model knows them.
        notes: What was changed for the model to be loaded.
    """

    model: nn.Module
    name: str
    codings: Mapping[str, Coding] = field(default_factory=dict)
    task_source: str = ""
    prepare: Callable[[Any, Sequence[str]], Any] | None = None
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Source:
    """A way to get a model from a text.

    Attributes:
        takes: Whether a text is one for this source.
        get: `(text, pretrained) -> Loaded`. `pretrained` is the user's wish to download weights.
    """

    takes: Callable[[str], bool]
    get: Callable[[str, bool], Loaded]
