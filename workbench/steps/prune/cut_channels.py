"""Channels chosen by hand: the numbers say which go, with everything that is coupled to them.

Coupling as in `PruneChannels`; the choice is a person's, made with whatever was looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import ClassVar

from workbench.errors import WorkbenchError, within
from workbench.registry import register
from workbench.steps.context import Context
from workbench.steps.option import option
from workbench.steps.prune.units import free, reached, rewritten, without
from workbench.steps.state import State
from workbench.steps.step import GraphStep, Need

FORM = '"3, 5, 8-11"'


def channel_numbers(text: str) -> tuple[int, ...]:
    """Return the numbers of a text such as "3, 5, 8-11", each once and ascending; () for "".

    Raises:
        WorkbenchError: The text is of another form.
    """
    numbers: set[int] = set()
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = re.fullmatch(r"(\d{1,6})(?:\s*-\s*(\d{1,6}))?", part)
        low, high = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if low > high:
            raise WorkbenchError(
                f"channels must be numbers and ranges with commas between them, such as {FORM}; not {part!r}"
            )
        numbers.update(range(low, high + 1))
    return tuple(sorted(numbers))


def channel_text(numbers: Iterable[int]) -> str:
    """Return the shortest text that `channel_numbers` reads as these numbers."""
    ordered = sorted(set(numbers))
    runs = [[number for _, number in run] for _, run in groupby(enumerate(ordered), lambda pair: pair[1] - pair[0])]
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


@register
@dataclass(frozen=True, kw_only=True)
class CutChannels(GraphStep):
    """Removes the channels with these numbers."""

    kind: ClassVar[str] = "cut_channels"
    title: ClassVar[str] = "Cut channels by hand"
    also: ClassVar[str] = "structured filters by hand"
    shelf: ClassVar[str] = "Prune"
    position: ClassVar[int] = 3
    summary: ClassVar[str] = (
        "Removes the channels that you name from a layer and from every layer that is coupled to it. The strip under "
        "Structure writes the numbers for you; they count from 0 in the model as it is before this step."
    )

    channels: str = option("0", f"Numbers of the channels that go, with ranges: {FORM}.", reads=channel_numbers)

    def needs(self) -> frozenset[Need]:
        return super().needs() | {Need.GRAPH}

    def build(self, state: State, context: Context) -> State:
        self.chosen(context.layers(state.model))  # a name that matches nothing is an error before any work
        model, every = context.channels(state.model)
        groups = reached(every, self.layers, self.exclude)
        gone = channel_numbers(self.channels)
        with within(self.title):
            allowed, notes = free(groups, model, self.layers)
        for group in allowed:
            if gone and gone[-1] >= len(group.units):
                raise WorkbenchError(
                    f"{self.title}: {group.name} has channels 0 to {len(group.units) - 1}, and no channel {gone[-1]}"
                )
            if len(gone) == len(group.units):
                raise WorkbenchError(f"{self.title}: one of the {len(gone)} channels of {group.name} must stay")
        if gone:
            notes = (*notes, *rewritten(state.model, model))
            state = without(state, model, allowed, {group.name: list(gone) for group in allowed}, context)
        return state.with_notes(*notes)
