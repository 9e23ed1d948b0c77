"""The coupled channels that a layer produces, with what a criterion thinks of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from workbench.graph import Group
from workbench.steps.context import Context
from workbench.steps.prune.importance import CRITERIA, rank_units


@dataclass(frozen=True)
class Channels:
    """One group of channels.

    Attributes:
        group: Its name.
        layers: Those that produce the channels together.
        consumers: Those that read them.
        count: How many there are.
        importance: Of each channel, larger for what matters more; () where the criterion says nothing.
        fixed: Why none of them can be cut, "" if they can.
        unranked: Why the criterion says nothing, "" if it does.
    """

    group: str
    layers: tuple[str, ...]
    consumers: tuple[str, ...]
    count: int
    importance: tuple[float, ...] = ()
    fixed: str = ""
    unranked: str = ""


def channels_of(
    model: nn.Module, groups: Sequence[Group], layer: str, criterion: str, context: Context
) -> tuple[Channels, ...]:
    """Return the groups whose channels a layer produces, those first that can be cut; () where it produces none.

    Args:
        model: Whose channels.
        groups: Its coupled groups.
        layer: Name of a layer.
        criterion: Kind of importance.
        context: Gives data and progress.

    Raises:
        WorkbenchError: The criterion cannot be computed on this model.
        Cancelled: It was told to stop.
    """
    own = sorted((group for group in groups if layer in group.layers), key=lambda group: group.protected is not None)
    judge = CRITERIA[criterion]
    unfit = {group.name: judge.unfit(model, group) for group in own}
    fit = [group for group in own if not unfit[group.name]]
    scores = rank_units(judge, model, fit, context) if fit else {}
    return tuple(
        Channels(
            group.name,
            group.layers,
            group.consumers,
            len(group.units),
            tuple(scores[group.name].double().tolist()) if group.name in scores else (),
            group.protected or "",
            unfit[group.name],
        )
        for group in own
    )
