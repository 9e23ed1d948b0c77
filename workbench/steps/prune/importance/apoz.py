"""Average percentage of zeros: a channel that is seldom above zero matters little.

Hu et al.: "Network Trimming: A Data-Driven Neuron Pruning Approach towards Efficient Deep Architectures", 2016. A unit
scores the part of its values, 0 to 1, that are above zero where they are read: one minus the paper's APoZ, behind a
ReLU.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from workbench.graph import Group
from workbench.registry import register
from workbench.steps.context import Context
from workbench.steps.prune.importance.activity import unit_means
from workbench.steps.prune.importance.criterion import Criterion
from workbench.steps.prune.importance.layer_inputs import NOBODY


@register
class AveragePercentageOfZeros(Criterion):
    kind = "apoz"
    position = 8
    title = "Activations above zero (APoZ)"
    needs_data = True
    comparable = True

    def unfit(self, model: nn.Module, group: Group) -> str:
        return "" if group.consumers else NOBODY

    def units(self, model: nn.Module, groups: Sequence[Group], context: Context) -> dict[str, Tensor]:
        return unit_means(model, groups, context, lambda values: values > 0)
