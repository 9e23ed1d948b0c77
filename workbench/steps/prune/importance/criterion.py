"""What an importance criterion is: a number for every weight or channel, larger for what the model needs more."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, cast

from torch import Tensor, nn

from workbench.graph import Group
from workbench.model.layers import Layer
from workbench.registry import Registry
from workbench.steps.context import Context
from workbench.steps.prune.importance.slots import Owners, mean, producing


class Criterion(ABC):
    """Ranks coupled channels; a `WeightCriterion` ranks single weights too.

    A model is never run, hooked or differentiated itself, only its twin.

    Class attributes:
        kind: Its name in a step.
        title: What people read.
        position: Where it stands among the others.
        needs_data: Whether it looks at the calibration split.
        needs_loss: Whether it follows the gradient of the task's loss.
        comparable: Whether units of different groups are scored in one unit of measure, such as a change of the loss.
            Where not, a ranking of all groups together takes scores relative to their group's mean.
    """

    kind: ClassVar[str]
    title: ClassVar[str]
    position: ClassVar[int] = 100
    needs_data: ClassVar[bool] = False
    needs_loss: ClassVar[bool] = False
    comparable: ClassVar[bool] = False

    def unfit(self, model: nn.Module, group: Group) -> str:
        """Return why the criterion says nothing about a group, "" if it does."""
        return ""

    @abstractmethod
    def units(self, model: nn.Module, groups: Sequence[Group], context: Context) -> dict[str, Tensor]:
        """Return the importance of every unit of the groups that are fit, `[units]`, by the group's name.

        Raises:
            WorkbenchError: It cannot be computed on this model.
            Cancelled: It was told to stop.
        """


class WeightCriterion(Criterion):
    """Ranks single weights, and through them coupled channels."""

    @abstractmethod
    def weights(self, model: nn.Module, parameters: Sequence[str], context: Context) -> dict[str, Tensor]:
        """Return the importance of every element of the named parameters, each in its parameter's shape.

        Errors as in `units`.
        """

    def unfit_weight(self, model: nn.Module, parameter: str) -> str:
        """Return why the criterion says nothing about a parameter, "" if it does."""
        return ""

    def judged(self, model: nn.Module, group: Group) -> Owners:
        """Return the weights by which units are judged: those that make them, in all layers that produce them."""
        return producing(model, group)

    def units(self, model: nn.Module, groups: Sequence[Group], context: Context) -> dict[str, Tensor]:
        """Return the mean over the weights of each unit, so that groups of different sizes can be ranked together."""
        judged = {group.name: self.judged(model, group) for group in groups}
        names = sorted({place.parameter for places in judged.values() for place in places})
        scores = self.weights(model, names, context)
        return {group.name: mean(scores, judged[group.name], len(group.units)) for group in groups}


def judged_weights(
    criterion: WeightCriterion, model: nn.Module, layers: Mapping[str, Layer]
) -> tuple[dict[str, Layer], dict[str, str]]:
    """Return the layers, by their weights' names, that a criterion can judge, and by name why it cannot judge others.

    Where it can judge none, all are returned, for the criterion to refuse.
    """
    unfit = {name: why for name in layers if (why := criterion.unfit_weight(model, name))}
    fit = {name: layer for name, layer in layers.items() if name not in unfit}
    left = {layers[name].name: f"{criterion.title} says nothing about what is {why}" for name, why in unfit.items()}
    return (fit, left) if fit else (dict(layers), {})


CRITERIA: Registry[Criterion] = Registry("criterion", Criterion, instances=True)
WEIGHT_CRITERIA = cast("Mapping[str, WeightCriterion]", CRITERIA.only(lambda one: isinstance(one, WeightCriterion)))
