"""Gradient times activation: the slope of the evidence for the right answer, times what a channel gives.

Shrikumar et al.: "Not Just a Black Box: Learning Important Features Through Propagating Activation Differences", 2016;
computed by captum's `LayerGradientXActivation`.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from workbench.context import Context
from workbench.graph import Group
from workbench.importance.attribution import attribute_units, unattributable
from workbench.importance.criterion import Criterion


class GradientActivation(Criterion):
    kind = "gradient_activation"
    title = "Gradient × activation (captum)"
    needs_data = True
    comparable = True

    def unfit(self, model: nn.Module, group: Group) -> str:
        return unattributable(model, group)

    def units(self, model: nn.Module, groups: Sequence[Group], context: Context) -> dict[str, Tensor]:
        return attribute_units(model, groups, context, _attribute)


def _attribute(evidence: nn.Module, layer: nn.Module, inputs: tuple[Tensor, ...], targets: Tensor) -> Tensor:
    from captum.attr import LayerGradientXActivation  # slow to import

    method = LayerGradientXActivation(evidence, layer)
    found: Tensor = method.attribute(inputs, additional_forward_args=(targets,), attribute_to_layer_input=True)
    return found
